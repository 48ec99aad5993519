"""Providers: the AI services, a driver each, and the calls a shot makes of them."""
