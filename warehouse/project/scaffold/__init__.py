"""A database's tables as a source of the project: its contract, staging, history, tests and docs, written once."""
