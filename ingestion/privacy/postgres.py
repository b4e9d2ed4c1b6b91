"""The crosswalk where it lies on Postgres: in `identifiers` of the schema `privacy`, in the clear or sealed."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow as pa

from ingestion.duck import connect, copied_csv
from ingestion.environment import ConfigurationError
from ingestion.keys import BEFORE, KEY, files_key
from ingestion.privacy.identifiers import RECORD
from ingestion.privacy.sealing import Seal, UnsealedError, require_same
from ingestion.sql import literal

TABLE = """
    create table if not exists {schema}.identifiers (
        token text primary key,
        kind text not null,
        value text not null,
        first_seen_at timestamp not null default {now}
    )"""
ASKED = {"kind": "varchar", "value": "varchar"}
_BATCH = 10_000


def exchange(schema: str, asked: Path, answered: Path) -> None:
    """Give every value a token, a new one where it is seen for the first time.

    Args:
        schema: the crosswalk's.
        asked: a CSV file with the columns of `ASKED`, each row once.
        answered: where the same goes with the tokens beside it, as Parquet.

    Raises:
        ConfigurationError: what is there was sealed otherwise than the environment says.
    """
    seal = _seal()
    sent = _sealed_file(seal, asked) if seal else asked
    # Of what is sealed the server gets no value: it is asked by hashes, and what they are of is known here alone.
    column, same = ("value_hash", "{0}value_hash") if seal else ("value", "md5({0}value)")
    with _opened() as cursor:
        _make(cursor, schema, with_hash=seal is not None)
        _require(cursor, schema, seal)
        columns = "kind, value, value_hash" if seal else "kind, value"
        kinds = "kind text, value text, value_hash bytea" if seal else "kind text, value text"
        cursor.execute(f"create temporary table asked ({kinds}) on commit drop")
        with sent.open("rb") as file:
            cursor.copy_expert("copy asked from stdin (format csv, header)", file)
        cursor.execute("analyze asked")
        cursor.execute(f"""
            insert into {schema}.identifiers (token, {columns})
            select kind || '_' || replace(gen_random_uuid()::text, '-', ''), {columns} from asked
            order by kind, {same.format("")}  -- two that wait for each other's values do so in one order
            on conflict (kind, {same.format("")}) do nothing""")
        found = asked.with_name("tokens.csv")
        with found.open("wb") as file:
            cursor.copy_expert(
                f"copy (select asked.kind, asked.{column}, i.token from asked join {schema}.identifiers as i "
                f"on i.kind = asked.kind and {same.format('i.')} = {same.format('asked.')}) "
                "to stdout (format csv, header, force_quote *)",
                file,
            )
    with closing(connect()) as connection:
        answer = f"from {copied_csv(found, {'kind': 'varchar', column: 'varchar', 'token': 'varchar'})}"
        if seal:
            known = copied_csv(asked.with_name("hashes.csv"), ASKED | {"value_hash": "varchar"})
            answer = f"select kind, value, token from {known} join ({answer}) using (kind, value_hash)"
        connection.execute(f"copy ({answer}) to {literal(str(answered))} (format parquet)")


def _sealed_file(seal: Seal, asked: Path) -> Path:
    """Write what is sent in the place of values; beside it, for the answer, which value each hash is of."""
    sealed, hashes = asked.with_name("sealed.csv"), asked.with_name("hashes.csv")
    with closing(connect()) as connection, _writer(sealed) as to_send, _writer(hashes) as to_know:
        to_send.writerow(["kind", "value", "value_hash"])
        to_know.writerow([*ASKED, "value_hash"])
        rows = connection.execute(f"from {copied_csv(asked, ASKED)}")
        while batch := rows.fetchmany(_BATCH):
            for kind, value in batch:
                found = seal.hash(kind, value)
                to_send.writerow([kind, seal.sealed(kind, value), found])
                to_know.writerow([kind, value, found])
    return sealed


def tokens(schema: str, kind: str, value: str) -> set[str]:
    """The tokens, one or none, that stand for a value in its normal form."""
    seal = _seal()
    with _opened() as cursor:
        if not _exists(cursor, schema):
            return set()
        _require(cursor, schema, seal)
        column, sought = ("value_hash", seal.hash(kind, value)) if seal else ("value", value)
        asked = f"select token from {schema}.identifiers where kind = %s and {column} = %s"
        cursor.execute(asked, [kind, sought])
        return {str(row[0]) for row in cursor.fetchall()}


def values(schema: str, listed: Sequence[str]) -> dict[str, str]:
    """What tokens stand for, of those that are known."""
    seal = _seal()
    with _opened() as cursor:
        if not _exists(cursor, schema):
            return {}
        _require(cursor, schema, seal)
        cursor.execute(f"select token, kind, value from {schema}.identifiers where token = any(%s)", [list(listed)])
        return {token: seal.opened(kind, text) if seal else text for token, kind, text in cursor.fetchall()}


def of_kinds(schema: str, kinds: Sequence[str]) -> pa.Table:
    """What tokens of these kinds stand for: the columns `token` and `value`."""
    seal, found = _seal(), list[tuple[str, str]]()
    with _opened() as cursor:
        if _exists(cursor, schema):
            _require(cursor, schema, seal)
            cursor.execute(f"select token, kind, value from {schema}.identifiers where kind = any(%s)", [list(kinds)])
            found = [(token, seal.opened(kind, text) if seal else text) for token, kind, text in cursor]
    columns = {"token": [each[0] for each in found], "value": [each[1] for each in found]}
    return pa.table(columns, pa.schema(dict.fromkeys(columns, pa.string())))


def drop(schema: str, listed: Sequence[str]) -> None:
    """Take away what tokens stand for, and unreadable records in which one of these values is."""
    seal = _seal()
    with _opened() as cursor:
        if not _exists(cursor, schema):
            return
        _require(cursor, schema, seal)
        if seal:
            asked = f"select token, kind, value from {schema}.identifiers where token = any(%s) or kind = %s"
            cursor.execute(asked, [list(listed), RECORD])
            known = {token: seal.opened(kind, text) for token, kind, text in cursor.fetchall()}
            values = [known[token] for token in listed if token in known]
            held = [token for token, text in known.items() if any(value in text for value in values)]
            # A record is looked into; a value that holds another one is somebody else's.
            of_records = f"delete from {schema}.identifiers where kind = %s and token = any(%s)"
            cursor.execute(of_records, [RECORD, held])
        else:
            cursor.execute(
                f"delete from {schema}.identifiers as i where kind = %s and exists (select 1 from "
                f"{schema}.identifiers as other where other.token = any(%s) and position(other.value in i.value) > 0)",
                [RECORD, list(listed)],
            )
        cursor.execute(f"delete from {schema}.identifiers where token = any(%s)", [list(listed)])


def reseal(schema: str, key: str, before: str, workspace: Path) -> int:
    """Write the whole crosswalk anew under another key, or none, in one transaction. Returns the number of its values.

    The table gets new files, so that none of its own has a row as it was.

    Args:
        schema: the crosswalk's.
        key: the key from now on; nothing: in the clear.
        before: a key that values may be sealed with now.
        workspace: a folder for a file with what is written, which is gone at the end.

    Raises:
        ConfigurationError: a value was sealed with a key that is neither of them.
    """
    new, seals = (Seal(key) if key else None), [Seal(each) for each in (key, before) if each]
    file, name, count = workspace / "crosswalk.resealed", f"{schema}.identifiers", 0
    with _opened() as cursor:
        if not _exists(cursor, schema):
            return 0
        _make(cursor, schema, with_hash=True)
        cursor.execute(f"lock table {name} in access exclusive mode")
        try:
            with _writer(file) as rewritten, cursor.connection.cursor("identifiers") as rows:
                rows.itersize = _BATCH
                rows.execute(f"select token, kind, value, value_hash is not null, first_seen_at from {name}")
                for token, kind, text, is_sealed, seen in rows:
                    value = _opened_by(seals, name, kind, text) if is_sealed else text
                    written = [new.sealed(kind, value), new.hash(kind, value)] if new else [value, None]
                    rewritten.writerow([token, kind, *written, seen])
                    count += 1
            cursor.execute(f"truncate {name}")
            with file.open("rb") as content:
                columns = "token, kind, value, value_hash, first_seen_at"
                cursor.copy_expert(f"copy {name} ({columns}) from stdin (format csv, force_not_null (value))", content)
        finally:
            file.unlink(missing_ok=True)
    return count


def _opened_by(seals: Sequence[Seal], name: str, kind: str, text: str) -> str:
    for seal in seals:
        with suppress(UnsealedError):
            return seal.opened(kind, text)
    raise ConfigurationError(
        f"{name} has values that neither {KEY} nor {BEFORE} opens: set {BEFORE} to the key that they were encrypted "
        "with; nothing was changed"
    )


def _seal() -> Seal | None:
    key = files_key()
    return Seal(key) if key else None


@contextmanager
def _opened() -> Iterator[Any]:
    """A cursor whose work is committed at the end."""
    with closing(psycopg2.connect("")) as connection, connection, connection.cursor() as cursor:
        yield cursor


@contextmanager
def _writer(file: Path) -> Iterator[Any]:
    """A CSV file that is for its owner alone."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as handle:
        yield csv.writer(handle, lineterminator="\n")


def _exists(cursor: Any, schema: str) -> bool:
    cursor.execute("select to_regclass(%s) is not null", [f"{schema}.identifiers"])
    return bool((cursor.fetchone() or (False,))[0])


def _make(cursor: Any, schema: str, *, with_hash: bool) -> None:
    """Make the table where it isn't there; give it its column for hashes where it lacks one that is needed."""
    name = f"{schema}.identifiers"
    if not _exists(cursor, schema):
        # Two first loads at once would both find it missing, and `if not exists` doesn't wait for the other.
        cursor.execute("select pg_advisory_xact_lock(hashtext(%s))", [schema])
        cursor.execute(f"create schema if not exists {schema}")
        cursor.execute(TABLE.format(schema=schema, now="(now() at time zone 'utc')"))
        cursor.execute(f"create unique index if not exists identifiers_value on {name} (kind, md5(value))")
    if not with_hash:
        return
    cursor.execute(
        "select 1 from pg_attribute where attrelid = %s::regclass and attname = 'value_hash' and not attisdropped",
        [name],
    )
    if cursor.fetchone():
        return
    try:
        # As the migration 0010 has it.
        cursor.execute(f"alter table {name} add column if not exists value_hash bytea")
        cursor.execute(f"create unique index if not exists identifiers_hash on {name} (kind, value_hash)")
    except psycopg2.errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            f"{name} has no column for what is encrypted: `make migrate TARGET=prod` adds it"
        ) from error


def _require(cursor: Any, schema: str, seal: Seal | None) -> None:
    """See that what is there was sealed as what comes will be. A table that was never sealed may lack the column."""
    name = f"{schema}.identifiers"
    cursor.execute(f"select kind, value, to_jsonb(i) ->> 'value_hash' from {name} as i limit 1")
    require_same(name, seal, cursor.fetchone())
