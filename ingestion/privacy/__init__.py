"""Tokens in the place of identifiers, and who was forgotten."""
