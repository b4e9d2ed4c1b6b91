"""For operators: what is there, backups, restores."""
