"""The warehouse: one build from lock to publish."""
