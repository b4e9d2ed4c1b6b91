"""What a source's database has: its tables with their keys, references and comments, and a sample of their rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from sqlalchemy import String, TableClause, cast, create_engine, func, inspect, select, text
from sqlalchemy import column as selectable_column
from sqlalchemy import table as selectable
from sqlalchemy.dialects.postgresql import DOMAIN
from sqlalchemy.engine import Connection, Engine, Inspector, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.types import NullType, TypeEngine

from ingestion.load.extracts import first_line
from ingestion.readers.settings import setting, variable
from ingestion.readers.sql.database import DIALECTS
from warehouse.errors import BuildError
from warehouse.project.scaffold.found import FoundColumn, FoundTable
from warehouse.project.scaffold.keys import SAMPLE, found_key, held_key

# Rows that are looked at, and how far rows are counted: the first load counts them all.
COUNTED = 1_000_000
_DAY = re.compile(r"\d{4}-\d\d-\d\d(?!.* BC)")
# Columns of few values by their names, how many at most, and how often each has to come in the mean.
_FEW = re.compile(r"(?i)(status|stage|phase|type|kind|level|priority|mode|currency|severity|channel)$")
_IS_TEXT = re.compile(r"(n?var)?char|character|n?text|tinytext")
LISTED, OFTEN = 12, 10
# How a check that lists texts begins, as it is written and as Postgres and MySQL give it back, and what it is made of.
_LISTS = re.compile(r"""[("`]*(\w+)["`)]*(::[\w ]+\)?)?\s*(in\s*\(|=\s*any\s*\(+\s*array\[)""", re.IGNORECASE)
_TEXT = re.compile(r"(?:\b_\w+)?'((?:[^']|'')*)'")
# Where dbt's files have code of Jinja's: what a database says of itself is text, and never run.
_RUN = re.compile(r"\{(?=[{%#])")
_DRIVERS = {"sqlite": "sqlite", "postgres": "postgresql+psycopg2", "mysql": "mysql+pymysql"}
_SHOWN = 10  # names in a message, of a database that may have hundreds
_OWN_SCHEMAS = {"information_schema", "mysql", "performance_schema", "sys"}


def survey(source: str, schemas: Sequence[str] = (), tables: Sequence[str] = ()) -> list[FoundTable]:
    """Look at a source's database.

    Args:
        source: the source, whose address is where its reader looks for it.
        schemas: those to look at; the reader's own unless given.
        tables: those to look at, by name or as `schema.table`; all unless given.

    Raises:
        BuildError: there is no address, the database refuses, or it has nothing of that name.
    """
    url = str(setting(source, "credentials", secret=True) or "")
    if not url:
        raise BuildError(
            f"where {source} lies isn't said: set {variable(source, 'credentials')}, such as "
            "postgresql://user:password@host:5432/database"
        )
    dialect = DIALECTS.get(url.split("://")[0].split("+")[0])
    if dialect is None:
        raise BuildError(f"{variable(source, 'credentials')} begins with none of {', '.join(DIALECTS)}")
    if dialect not in _DRIVERS:
        raise BuildError(
            f"{source} is a SQL Server, which is read by its contract, but not looked at yet: write that by hand "
            "(docs/adding-a-source.md, from its step 1)"
        )
    engine = create_engine(make_url(f"{_DRIVERS[dialect]}://{url.split('://', 1)[1]}"))
    try:
        inspector = inspect(engine)
        there = [each for each in inspector.get_schema_names() if each not in _OWN_SCHEMAS]
        chosen = list(schemas) or [str(setting(source, "schema") or inspector.default_schema_name)]
        if unknown := [each for each in chosen if each not in there]:
            raise BuildError(f"{source} has no schema {', '.join(unknown)}: it has {', '.join(there)}")
        parts = _partitions(engine)
        places = [
            (schema, name)
            for schema in chosen
            for name in sorted([*inspector.get_table_names(schema), *inspector.get_view_names(schema)])
            if (schema, name) not in parts
        ]
        called = {place: (place[1], ".".join(place)) for place in places}
        names = list(dict.fromkeys(name for _, name in places))
        for each in tables:
            if not any(each in both for both in called.values()):
                raise BuildError(f"{source} has no table {each} in {', '.join(chosen)}: it has {_some(names, each)}")
        wanted = [place for place in places if not tables or set(called[place]) & set(tables)]
        with engine.connect() as connection:
            return [_table(connection, inspector, engine, *place, wanted) for place in wanted]
    except SQLAlchemyError as error:
        raise BuildError(
            f"the database of {source} refuses: {first_line(error)}; check that it runs and that "
            f"{variable(source, 'credentials')} names it with a user that may read"
        ) from error
    finally:
        engine.dispose()


def _some(names: Sequence[str], wanted: str) -> str:
    """The names that are like the one that is wanted, else all, or the first of many."""
    alike = get_close_matches(wanted.rsplit(".", 1)[-1], names, _SHOWN)
    shown = alike or names[:_SHOWN]
    more = len(names) - len(shown)
    return f"{', '.join(shown) or 'none'}{f' and {more} more, which make preview lists' if more else ''}"


def _partitions(engine: Engine) -> set[tuple[str, str]]:
    """The places of a Postgres's partitions, whose rows their table has."""
    if engine.dialect.name != "postgresql":
        return set()
    query = "select n.nspname, c.relname from pg_class as c join pg_namespace as n on n.oid = c.relnamespace"
    with engine.connect() as connection:
        rows = connection.execute(text(f"{query} where c.relispartition")).fetchall()
    return {(str(schema), str(name)) for schema, name in rows}


def _table(
    connection: Connection, inspector: Inspector, engine: Engine, schema: str, name: str, wanted: Sequence[Any]
) -> FoundTable:
    found = inspector.get_columns(name, schema)
    for each in (name, *(column["name"] for column in found)):
        if _RUN.search(each):
            raise BuildError(
                f"the name {each} of {schema}.{name} holds what dbt would take for code and run: read it by a view "
                "that names it otherwise"
            )
    table = selectable(name, *(selectable_column(each["name"], each["type"]) for each in found), schema=schema)
    rows = connection.execute(select(table).limit(SAMPLE)).fetchall()
    counted = select(text("1")).select_from(table).limit(COUNTED + 1).subquery()
    count = connection.execute(select(text("count(*)")).select_from(counted)).scalar_one()
    listed = _listed_values(inspector, schema, name)
    columns = tuple(
        FoundColumn(
            each["name"],
            _kind(each["type"], engine),
            bool(each["nullable"]),
            _comment(each.get("comment")),
            _values(getattr(each["type"], "enums", ()) or listed.get(each["name"], ())),
            tuple(str(row[number]) for row in rows if row[number] is not None),
        )
        for number, each in enumerate(found)
    )
    columns = tuple(_with_seen_values(connection, table, column, int(count)) for column in columns)
    columns = _with_days(connection, table, columns, int(count))
    keys = inspector.get_foreign_keys(name, schema)
    references = {
        each["constrained_columns"][0]: (
            each["referred_schema"] or schema, each["referred_table"], each["referred_columns"][0]
        )
        for each in keys
        if len(each["constrained_columns"]) == 1
        and (each["referred_schema"] or schema, each["referred_table"]) in wanted
    }  # fmt: skip
    wide = tuple(
        f"({', '.join(each['constrained_columns'])}) to {each['referred_table']}"
        for each in keys
        if len(each["constrained_columns"]) > 1
    )
    try:
        comment = _comment(inspector.get_table_comment(name, schema)["text"])
    except NotImplementedError:  # SQLite has none
        comment = ""
    held = held_key(inspector, schema, name, columns)
    key = held or found_key(connection, table, columns, references, int(count))
    is_view = name in inspector.get_view_names(schema)
    return FoundTable(schema, name, columns, key, int(count), bool(held), is_view, comment, references, wide)


def _with_seen_values(connection: Connection, table: TableClause, column: FoundColumn, count: int) -> FoundColumn:
    """A column that is named as one of few values, with those that all rows have, if they come often enough."""
    if column.values or not _FEW.search(column.name) or not _IS_TEXT.match(column.kind) or count > COUNTED:
        return column
    rows = connection.execute(select(table.c[column.name]).distinct().limit(LISTED + 2)).fetchall()
    seen = sorted(str(value) for (value,) in rows if value is not None)
    if not seen or len(seen) > LISTED or count < OFTEN * len(seen):
        return column
    return replace(column, values=_values(seen), values_are_seen=True)


def _with_days(
    connection: Connection, table: TableClause, columns: tuple[FoundColumn, ...], count: int
) -> tuple[FoundColumn, ...]:
    """The columns, those of dates and times with their first and last day."""
    times = [column.name for column in columns if column.kind.startswith(("date", "timestamp"))]
    if not times or count > COUNTED:
        return columns
    asked = [cast(of(table.c[name]), String(40)) for name in times for of in (func.min, func.max)]
    told = connection.execute(select(*asked)).one()
    days = {name: (told[2 * number], told[2 * number + 1]) for number, name in enumerate(times)}
    return tuple(
        replace(column, days=tuple(str(day)[:10] for day in days[column.name]))
        if column.name in days and all(_DAY.match(str(day)) for day in days[column.name])
        else column
        for column in columns
    )


def _comment(text_of: str | None) -> str:
    """A comment, in which dbt finds no code to run."""
    return _RUN.sub("{ ", text_of or "")


def _values(listed: Sequence[str]) -> tuple[str, ...]:
    """The values of a list; none where dbt would find code in one."""
    return () if any(_RUN.search(value) for value in listed) else tuple(listed)


def _listed_values(inspector: Inspector, schema: str, name: str) -> dict[str, tuple[str, ...]]:
    """The values that checks of the form `column in ('a', 'b')` list, by column."""
    found = {}
    for check in inspector.get_check_constraints(name, schema):
        text_of = check["sqltext"].strip()
        if match := _LISTS.match(text_of):
            rest = re.sub(r"::[\w ]+", "", _TEXT.sub("", text_of[match.end() :]))
            if not rest.strip(" \n,()[]"):
                values = _TEXT.findall(text_of[match.end() :])
                found[match[1]] = tuple(value.replace("''", "'") for value in values)
    return found


def _kind(declared: TypeEngine[Any], engine: Engine) -> str:
    """A type in the database's words, of a domain the one that it is made of; what SQLAlchemy doesn't know has none."""
    if isinstance(declared, DOMAIN):
        declared = declared.data_type
    return "" if isinstance(declared, NullType) else str(declared.compile(engine.dialect)).lower()
