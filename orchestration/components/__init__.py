"""The kinds of things that the clock runs: sources and the warehouse."""
