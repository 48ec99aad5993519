"""Guest API: handlers of the public routes, pictures and galleries."""
