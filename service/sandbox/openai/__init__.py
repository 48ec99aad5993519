"""The OpenAI API as far as image editing needs it: images/edits and models."""
