"""HTTP: what every handler needs to read a request, guard a route and answer."""
