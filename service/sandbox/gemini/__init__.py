"""The Gemini API as far as image editing needs it: generateContent, models and files."""
