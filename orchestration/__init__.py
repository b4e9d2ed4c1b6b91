"""The clock: what runs when, what is tried again, and who is told when it goes wrong."""
