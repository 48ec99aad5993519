"""Admin API: handlers of the routes for signed-in admins."""
