"""Gemini: the driver, its settings, its refusals, its file uploads."""
