"""What a source promises: its contract, read from YAML and written as SQL."""
