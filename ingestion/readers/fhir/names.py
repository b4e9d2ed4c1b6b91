"""The names of files, as raw and messages have them: one may be called after the patient whose record it holds."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from ingestion.duck import fill
from ingestion.load.extracts import Reader
from ingestion.privacy.crosswalk import exchange
from ingestion.readers.files.folder import Delivered

KIND = "file_name"
_WORDS = set("bulk bundle deleted error export fhir gz json jsonl log manifest ndjson output part".split())
_DIGITS = 4  # at most in a name: more may be a date of birth, or a number that somebody is known by


def known_names(reader: Reader, files: Sequence[Delivered], types: Collection[str]) -> list[Delivered]:
    """The files under names that tell of nobody: their own where it has but types and numbers, else a token's.

    Args:
        reader: what the load works with.
        files: as they lie in the folder.
        types: the types of resources that a name may have.
    """
    words = {*_WORDS, *(each.lower() for each in types)}
    telling = [file.name for file in files if not _is_plain(file.name, words)]
    if not telling:
        return list(files)
    reader.connection.execute("create or replace temp table telling (value varchar)")
    fill(reader.connection, "telling", ["value"], [(name,) for name in telling])
    tokens = exchange(
        reader.target, reader.connection, f"select '{KIND}' as kind, value from telling", reader.workspace
    )
    token = dict(reader.connection.execute(f"select value, token from {tokens}").fetchall())
    return [replace(file, name=_named(file.name, token)) for file in files]


def _named(name: str, tokens: dict[str, str]) -> str:
    """The token with the endings of the name, by which it is told what it holds."""
    if name not in tokens:
        return name
    ending = re.search(r"(\.(ndjson|jsonl|json))?(\.gz)?$", name, re.IGNORECASE)
    return tokens[name] + (ending[0].lower() if ending else "")


def _is_plain(name: str, words: Collection[str]) -> bool:
    parts = [part.lower() for part in re.split(r"[^A-Za-z0-9]+", name) if part]
    digits = sum(len(part) for part in parts if part.isdigit())
    return digits <= _DIGITS and all(part.isdigit() or part in words for part in parts)
