"""The fields of a GenerateContentRequest (Gemini API, generateContent reference)."""

from service.sandbox.gemini.protojson import (
    anything,
    base64_bytes,
    boolean,
    enum,
    integer,
    message,
    number,
    repeated,
    text,
)

MODALITIES = frozenset({"TEXT", "IMAGE", "AUDIO", "VIDEO"})
THINKING_LEVELS = frozenset({"MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"})
SERVICE_TIERS = frozenset({"flex", "standard", "priority"})
HARM_CATEGORIES = frozenset(
    {
        "HARM_CATEGORY_HARASSMENT",
        "HARM_CATEGORY_HATE_SPEECH",
        "HARM_CATEGORY_SEXUALLY_EXPLICIT",
        "HARM_CATEGORY_DANGEROUS_CONTENT",
        "HARM_CATEGORY_CIVIC_INTEGRITY",
    }
)
HARM_THRESHOLDS = frozenset(
    {"BLOCK_LOW_AND_ABOVE", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_ONLY_HIGH", "BLOCK_NONE", "OFF"}
)

_PART_DATA = {
    "text": text,
    "inlineData": message({"mimeType": text, "data": base64_bytes}),
    "fileData": message({"mimeType": text, "fileUri": text}),
    "functionCall": anything,
    "functionResponse": anything,
    "executableCode": anything,
    "codeExecutionResult": anything,
}
_PART = message(
    {
        **_PART_DATA,
        "thought": boolean,
        "thoughtSignature": base64_bytes,
        "partMetadata": anything,
        "videoMetadata": anything,
        "mediaResolution": anything,
    },
    one_of=frozenset(_PART_DATA),
)
_CONTENT = message({"role": text, "parts": repeated(_PART)})
_GENERATION_CONFIG = message(
    {
        "candidateCount": integer,
        "stopSequences": repeated(text),
        "maxOutputTokens": integer,
        "temperature": number,
        "topP": number,
        "topK": number,
        "seed": integer,
        "presencePenalty": number,
        "frequencyPenalty": number,
        "responseLogprobs": boolean,
        "logprobs": integer,
        "responseMimeType": text,
        "responseSchema": anything,
        "responseJsonSchema": anything,
        "speechConfig": anything,
        "mediaResolution": text,
        "responseModalities": repeated(enum("GenerationConfig.Modality", MODALITIES)),
        "thinkingConfig": message(
            {
                "includeThoughts": boolean,
                "thinkingBudget": integer,
                "thinkingLevel": enum("ThinkingConfig.ThinkingLevel", THINKING_LEVELS),
            }
        ),
        "imageConfig": message({"aspectRatio": text, "imageSize": text}),
    }
)
_SAFETY_SETTING = message(
    {
        "category": enum("HarmCategory", HARM_CATEGORIES),
        "threshold": enum("SafetySetting.HarmBlockThreshold", HARM_THRESHOLDS),
    }
)

GENERATE_CONTENT = message(
    {
        "model": text,
        "contents": repeated(_CONTENT),
        "systemInstruction": _CONTENT,
        "generationConfig": _GENERATION_CONFIG,
        "safetySettings": repeated(_SAFETY_SETTING),
        "tools": anything,
        "toolConfig": anything,
        "cachedContent": text,
        "serviceTier": enum("ServiceTier", SERVICE_TIERS),
        "store": boolean,
        "labels": anything,
        "continuationToken": text,
    }
)

UPLOAD_START = message(
    {"file": message({"name": text, "displayName": text, "mimeType": text, "sizeBytes": anything})}
)
