"""Pictures: what bytes are, and what is drawn. The only package that knows an image library."""
