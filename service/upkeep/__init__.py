"""Upkeep: which processes live, whose folder this is, cleanup."""
