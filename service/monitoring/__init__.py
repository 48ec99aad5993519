"""Monitoring: cached checks of the database, the folder and the providers."""
