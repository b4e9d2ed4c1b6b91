"""Tokens in the place of direct identifiers, from a crosswalk of random ids.

What a contract declares `privacy: direct_identifier` never enters raw: the contract pass puts a token in its place, and
the value goes into the crosswalk, which no reader and no transformer sees. Equal values of one kind have one token, in
every source, so that people are matched by tokens as they were by addresses. A token is random: nothing of the value
can be had from it, and where the crosswalk's row is gone, nothing leads back.

The crosswalk is an input as raw is: warehouses that are to come out alike share it. It lies

- in the schema `privacy` of the Postgres that is built, or that has a lake's catalogs (`ingestion.privacy.postgres`),
  or, for DuckDB's own files, in `crosswalk.duckdb` beside them,
- or in the DuckDB file that PRIVACY__CROSSWALK names, for every engine.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb

from ingestion.destination.target import Target
from ingestion.duck import connect, copied_csv
from ingestion.encryption import attach
from ingestion.privacy import postgres
from ingestion.privacy.identifiers import RECORD, normal_form
from ingestion.privacy.postgres import ASKED, TABLE
from ingestion.sql import literal

SCHEMA = "privacy"
# How long a load waits for another that has the crosswalk's file.
_WAIT_SECONDS = 60


def crosswalk_file(target: Target) -> Path | None:
    """The DuckDB file in which the crosswalk lies; None where it lies in Postgres."""
    given = os.environ.get("PRIVACY__CROSSWALK")
    if given:
        return Path(given).resolve()
    return None if target.in_postgres else target.folder / "crosswalk.duckdb"


def exchange(target: Target, connection: duckdb.DuckDBPyConnection, values: str, workspace: Path) -> str:
    """Give every value a token, a new one where it is seen for the first time.

    What is new is committed before this returns: raw never has a token that the crosswalk doesn't know.

    Args:
        target: the warehouse.
        connection: where `values` can be read.
        values: a DuckDB select with the text columns `kind` and `value`, none null.
        workspace: a folder for files that are gone when the load ends.

    Returns:
        A DuckDB relation with `kind`, `value` and `token`.
    """
    asked, answered = workspace / "identifiers.csv", workspace / "tokens.parquet"
    options = "format csv, header, force_quote *"
    copied = f"copy (select distinct kind, value from ({values})) to {literal(str(asked))} ({options})"
    if (connection.execute(copied).fetchone() or (0,))[0] == 0:
        return "(select null::varchar as kind, null::varchar as value, null::varchar as token where false)"
    file = crosswalk_file(target)
    if file is None:
        postgres.exchange(target.schema(SCHEMA), asked, answered)
    else:
        _exchange_in_file(file, asked, answered)
    return f"read_parquet({literal(str(answered))})"


@contextmanager
def opened_file(file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The crosswalk's file, made where it isn't there; it is for its owner alone. One process has it at a time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(connect()) as connection:
        _attach(connection, file)
        file.chmod(0o600)
        connection.execute(f"create schema if not exists crosswalk.{SCHEMA}")
        connection.execute(TABLE.format(schema=f"crosswalk.{SCHEMA}", now="now()::timestamp"))
        yield connection


def _attach(connection: duckdb.DuckDBPyConnection, file: Path, *, read_only: bool = False) -> None:
    """Attach the crosswalk's file as `crosswalk`, and wait for another process that has it."""
    until = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            return attach(connection, file, "crosswalk", read_only=read_only)
        except duckdb.IOException:
            # What isn't there won't come by waiting.
            if time.monotonic() > until or (read_only and not file.exists()):
                raise
            time.sleep(0.05)


def _exchange_in_file(file: Path, asked: Path, answered: Path) -> None:
    with opened_file(file) as connection:
        connection.execute(f"create temp table asked as from {copied_csv(asked, ASKED)}")
        known = f"select token, kind, value from crosswalk.{SCHEMA}.identifiers semi join asked using (kind, value)"
        connection.execute(f"""
            insert into crosswalk.{SCHEMA}.identifiers (token, kind, value)
            select kind || '_' || replace(cast(uuid() as varchar), '-', ''), kind, value
            from asked anti join crosswalk.{SCHEMA}.identifiers using (kind, value)""")
        connection.execute(f"copy ({known}) to {literal(str(answered))} (format parquet)")


def read_identifiers(connection: duckdb.DuckDBPyConnection, target: Target, kinds: Iterable[str], table: str) -> None:
    """Make a table of a connection with `token` and `value`, of all that tokens of these kinds stand for.

    Raises:
        ConfigurationError: the crosswalk's key is missing, or it is another one.
        duckdb.Error, psycopg2.Error: there is none yet, or whoever asks may not see it.
    """
    listed, file = sorted(kinds), crosswalk_file(target)
    connection.execute(f"create table {table} (token varchar, value varchar)")
    if file is None:
        connection.register("of_postgres", postgres.of_kinds(target.schema(SCHEMA), listed))
        connection.execute(f"insert into {table} from of_postgres")
        connection.unregister("of_postgres")
        return
    _attach(connection, file, read_only=True)
    kinds_list = ", ".join(map(literal, listed)) or "null"
    connection.execute(
        f"insert into {table} select token, value from crosswalk.{SCHEMA}.identifiers where kind in ({kinds_list})"
    )
    connection.execute("detach crosswalk")


def find_tokens(target: Target, kind: str, value: str) -> set[str]:
    """The tokens, one or none, that stand for a value of this kind."""
    with closing(connect()) as connection:
        row = connection.execute(f"select {normal_form('$1', kind)}", [value]).fetchone()
    known = str(row[0]) if row and row[0] else ""
    file = crosswalk_file(target)
    if file is None:
        return postgres.tokens(target.schema(SCHEMA), kind, known)
    if not file.exists():
        return set()
    with opened_file(file) as connection:
        asked = f"select token from crosswalk.{SCHEMA}.identifiers where kind = ? and value = ?"
        return {str(token) for (token,) in connection.execute(asked, [kind, known]).fetchall()}


def values_of(target: Target, tokens: Iterable[str]) -> dict[str, str]:
    """What tokens stand for, of those that the crosswalk knows; on Postgres to a login that may read it."""
    listed = sorted(tokens)
    file = crosswalk_file(target)
    if file is None:
        return postgres.values(target.schema(SCHEMA), listed)
    if not file.exists() or not listed:
        return {}
    with opened_file(file) as connection:
        asked = (
            f"select token, value from crosswalk.{SCHEMA}.identifiers where token in ({', '.join('?' * len(listed))})"
        )
        return {str(token): str(value) for token, value in connection.execute(asked, listed).fetchall()}


def drop_identifiers(target: Target, tokens: Iterable[str]) -> None:
    """Take what tokens stand for out of the crosswalk, and unreadable records in which one of these values is."""
    listed = sorted(tokens)
    if not listed:
        return
    file = crosswalk_file(target)
    if file is None:
        postgres.drop(target.schema(SCHEMA), listed)
    elif file.exists():
        marks = ", ".join("?" * len(listed))
        name = f"crosswalk.{SCHEMA}.identifiers"
        with opened_file(file) as connection:
            connection.execute(
                f"delete from {name} as identifiers where kind = {literal(RECORD)} and exists (select 1 from {name} "
                f"as other where other.token in ({marks}) and position(other.value in identifiers.value) > 0)",
                listed,
            )
            connection.execute(f"delete from {name} where token in ({marks})", listed)
        _write_anew(file)


def _write_anew(file: Path) -> None:
    """Copy the crosswalk to a file that never held what was taken out, which DuckDB leaves in blocks to use again."""
    fresh = file.with_suffix(".fresh")
    fresh.unlink(missing_ok=True)
    with opened_file(file) as connection:
        attach(connection, fresh, "fresh")
        connection.execute("copy from database crosswalk to fresh")
        connection.execute("detach fresh")
        fresh.chmod(0o600)
        fresh.replace(file)


def shred(folder: Path) -> None:
    """Take away what loads keep in clear text until they end: pages and extracts of loads that were broken off."""
    for name in ("pending", "loading"):
        shutil.rmtree(folder / name, ignore_errors=True)
