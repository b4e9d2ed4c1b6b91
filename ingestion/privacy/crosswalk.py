"""Tokens in the place of direct identifiers, from a crosswalk of random ids.

What a contract declares `privacy: direct_identifier` never enters raw: the contract pass puts a token in its place, and
the value goes into the crosswalk, which no reader and no transformer sees. Equal values of one kind have one token, in
every source, so that people are matched by tokens as they were by addresses. A token is random: nothing of the value
can be had from it, and where the crosswalk's row is gone, nothing leads back.

The crosswalk is an input as raw is: warehouses that are to come out alike share it. It lies

- in the schema `privacy` of the Postgres that is built, or, for DuckDB, in `crosswalk.duckdb` beside the other files,
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
import psycopg2

from ingestion.destination.target import Target
from ingestion.duck import connect, copied_csv
from ingestion.encryption import attach
from ingestion.privacy.identifiers import RECORD, normal_form
from ingestion.sql import literal

SCHEMA = "privacy"

_TABLE = """
    create table if not exists {schema}.identifiers (
        token text primary key,
        kind text not null,
        value text not null,
        first_seen_at timestamp not null default {now}
    )"""
_ASKED = {"kind": "varchar", "value": "varchar"}
_ANSWERED = {**_ASKED, "token": "varchar"}
# How long a load waits for another that has the crosswalk's file.
_WAIT_SECONDS = 60


def crosswalk_file(target: Target) -> Path | None:
    """The DuckDB file in which the crosswalk lies; None where it lies in the Postgres that is built."""
    given = os.environ.get("PRIVACY__CROSSWALK")
    if given:
        return Path(given).resolve()
    return target.folder / "crosswalk.duckdb" if target.engine == "duckdb" else None


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
        _exchange_in_postgres(target.schema(SCHEMA), asked, answered)
    else:
        _exchange_in_file(file, asked, answered)
    return f"read_parquet({literal(str(answered))})"


@contextmanager
def opened_file(file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The crosswalk's file, made where it isn't there; it is for its owner alone. One process has it at a time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(connect()) as connection:
        until = time.monotonic() + _WAIT_SECONDS
        while True:
            try:
                attach(connection, file, "crosswalk")
                break
            except duckdb.IOException:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
        file.chmod(0o600)
        connection.execute(f"create schema if not exists crosswalk.{SCHEMA}")
        connection.execute(_TABLE.format(schema=f"crosswalk.{SCHEMA}", now="now()::timestamp"))
        yield connection


def _exchange_in_file(file: Path, asked: Path, answered: Path) -> None:
    with opened_file(file) as connection:
        connection.execute(f"create temp table asked as from {copied_csv(asked, _ASKED)}")
        known = f"select token, kind, value from crosswalk.{SCHEMA}.identifiers semi join asked using (kind, value)"
        connection.execute(f"""
            insert into crosswalk.{SCHEMA}.identifiers (token, kind, value)
            select kind || '_' || replace(cast(uuid() as varchar), '-', ''), kind, value
            from asked anti join crosswalk.{SCHEMA}.identifiers using (kind, value)""")
        connection.execute(f"copy ({known}) to {literal(str(answered))} (format parquet)")


def _exchange_in_postgres(schema: str, asked: Path, answered: Path) -> None:
    found = asked.with_name("tokens.csv")
    with closing(psycopg2.connect("")) as postgres, postgres, postgres.cursor() as cursor:
        cursor.execute("select to_regclass(%s) is not null", [f"{schema}.identifiers"])
        if not (cursor.fetchone() or (False,))[0]:
            # Two first loads at once would both find it missing, and `if not exists` doesn't wait for the other.
            cursor.execute("select pg_advisory_xact_lock(hashtext(%s))", [schema])
            cursor.execute(f"create schema if not exists {schema}")
            cursor.execute(_TABLE.format(schema=schema, now="(now() at time zone 'utc')"))
            index = f"identifiers_value on {schema}.identifiers (kind, md5(value))"
            cursor.execute(f"create unique index if not exists {index}")
        cursor.execute("create temporary table asked (kind text, value text) on commit drop")
        with asked.open("rb") as file:
            cursor.copy_expert("copy asked from stdin (format csv, header)", file)
        cursor.execute("analyze asked")
        cursor.execute(f"""
            insert into {schema}.identifiers (token, kind, value)
            select kind || '_' || replace(gen_random_uuid()::text, '-', ''), kind, value from asked
            order by kind, md5(value)  -- two that wait for each other's values do so in one order
            on conflict (kind, md5(value)) do nothing""")
        with found.open("wb") as file:
            cursor.copy_expert(
                f"copy (select a.kind, a.value, i.token from asked as a join {schema}.identifiers as i "
                "on i.kind = a.kind and md5(i.value) = md5(a.value)) to stdout (format csv, header, force_quote *)",
                file,
            )
    with closing(connect()) as connection:
        connection.execute(f"copy (from {copied_csv(found, _ANSWERED)}) to {literal(str(answered))} (format parquet)")


def find_tokens(target: Target, kind: str, value: str) -> set[str]:
    """The tokens, one or none, that stand for a value of this kind."""
    with closing(connect()) as connection:
        row = connection.execute(f"select {normal_form('$1', kind)}", [value]).fetchone()
    known = str(row[0]) if row and row[0] else ""
    return {token for token, _ in _rows(target, "kind = %s and value = %s", [kind, known])}


def drop_identifiers(target: Target, tokens: Iterable[str]) -> None:
    """Take what tokens stand for out of the crosswalk, and unreadable records in which one of these values is."""
    listed = sorted(tokens)
    if not listed:
        return
    marks = ", ".join(["%s"] * len(listed))
    _rows(
        target,
        f"kind = {literal(RECORD)} and exists (select 1 from {{identifiers}} as other "
        f"where other.token in ({marks}) and position(other.value in identifiers.value) > 0)",
        listed,
        delete=True,
    )
    _rows(target, f"token in ({marks})", listed, delete=True)
    file = crosswalk_file(target)
    if file is not None and file.exists():
        _write_anew(file)


def _rows(target: Target, where: str, parameters: list[str], *, delete: bool = False) -> list[tuple[str, str]]:
    """Tokens and values of the crosswalk's rows that a condition holds for; with `delete` they are taken away."""
    file = crosswalk_file(target)
    if file is not None:
        if not file.exists():
            return []
        with opened_file(file) as connection:
            name = f"crosswalk.{SCHEMA}.identifiers"
            statement = _statement(name, where, delete=delete).replace("%s", "?")
            return [(str(token), str(value)) for token, value in connection.execute(statement, parameters).fetchall()]
    name = f"{target.schema(SCHEMA)}.identifiers"
    with closing(psycopg2.connect("")) as postgres, postgres, postgres.cursor() as cursor:
        cursor.execute("select to_regclass(%s) is not null", [name])
        if not (cursor.fetchone() or (False,))[0]:
            return []
        cursor.execute(_statement(name, where, delete=delete), parameters)
        return [(str(token), str(value)) for token, value in cursor.fetchall()]


def _statement(name: str, where: str, *, delete: bool) -> str:
    condition = where.replace("{identifiers}", name)
    if delete:
        return f"delete from {name} as identifiers where {condition} returning token, value"
    return f"select token, value from {name} as identifiers where {condition}"


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
