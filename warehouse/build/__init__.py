"""One build from lock to publish, and what belongs to building."""
