"""Turbotext's photo API as far as it is known, and every answer it might give."""
