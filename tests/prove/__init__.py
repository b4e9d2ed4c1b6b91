"""Attempts to break the promises: kills, other paths, real days in any order, readers in the middle of
publishing, planted mutations.

`make prove` runs all of it and prints what it counted; `make test` runs a short part with a fixed seed.
"""
