"""A first star of a scaffolded source: what it is of, and its files."""
