"""How to read a kind of system. A source's contract names its reader; sources/ holds what is particular to a source."""
