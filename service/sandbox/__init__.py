"""A stand-in for the AI providers that speaks their wire protocols on a real socket.

For tests, demonstrations and staging: it needs no key and costs nothing. It knows nothing of
the service, which is pointed at it by base URLs as at any provider.
"""
