"""Storage: the database pool and its schema, the media folder, files of secrets."""
