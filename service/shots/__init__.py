"""Shots: one photo's way from a camera's request to its answer."""
