"""What tokens stand for, to somebody who may know it: who may read the crosswalk, and has its key where it has one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import duckdb
import psycopg2

from ingestion.destination.target import Target
from ingestion.privacy.crosswalk import values_of
from warehouse.errors import BuildError
from warehouse.reading.query import print_table


def reveal(target: Target, tokens: Sequence[str], say: Callable[[str], None]) -> None:
    """Print what each token stands for; nothing beside one that the crosswalk doesn't know, or knows no more.

    Raises:
        ConfigurationError: the crosswalk's key is missing, or it is another one.
        BuildError: this login may not read the crosswalk, or it can't be opened.
    """
    try:
        known = values_of(target, tokens)
    except (duckdb.Error, psycopg2.Error) as error:
        raise unreadable(error) from error
    print_table(["token", "stands for"], [(each, known.get(each)) for each in tokens], say)


def unreadable(error: Exception) -> BuildError:
    """What is said where the crosswalk can't be read, to whoever asked for it."""
    reason = str(error).strip().splitlines()[0]
    return BuildError(f"the crosswalk can't be read: {reason}; on Postgres granary_privacy may")
