"""Changes to the project's own files."""
