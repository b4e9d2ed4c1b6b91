"""What each run did: its record, and what a person reads of it."""
