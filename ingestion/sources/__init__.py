"""The sources: one package each, which imports none of the others."""
