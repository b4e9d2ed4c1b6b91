"""What Dagster finds: a folder for each kind of thing."""
