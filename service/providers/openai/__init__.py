"""OpenAI: the driver and its settings."""
