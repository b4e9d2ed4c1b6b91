"""The published marts over HTTP: read-only, as the caller's login, each answer of one generation."""
