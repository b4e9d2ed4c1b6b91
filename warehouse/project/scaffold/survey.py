"""What a source's database has: its tables with their keys, references and comments, and a sample of their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import MetaData, Table, create_engine, inspect, select, text
from sqlalchemy.engine import Connection, Engine, Inspector, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.types import NullType, TypeEngine

from ingestion.load.extracts import first_line
from ingestion.readers.settings import setting, variable
from ingestion.readers.sql.database import DIALECTS
from warehouse.errors import BuildError

# Rows that are looked at, and how far rows are counted: the first load counts them all.
SAMPLE, COUNTED = 1000, 1_000_000
_DRIVERS = {"sqlite": "sqlite", "postgres": "postgresql+psycopg2", "mysql": "mysql+pymysql"}
_OWN_SCHEMAS = {"information_schema", "mysql", "performance_schema", "sys"}


@dataclass(frozen=True)
class FoundColumn:
    """A column as the database declares it, and what the sample has of it, as texts.

    kind: the type in the database's words, in small letters.
    values: those that an enumeration allows.
    """

    name: str
    kind: str
    is_nullable: bool
    comment: str = ""
    values: tuple[str, ...] = ()
    sample: tuple[str, ...] = ()


@dataclass(frozen=True)
class FoundTable:
    """A table or view.

    key: the columns of its primary key, else of a unique one that is never null; none where there is neither.
    references: the columns that point at another table of the survey, with that one's place and column.
    row_count: up to COUNTED + 1.
    """

    schema: str
    name: str
    columns: tuple[FoundColumn, ...]
    key: tuple[str, ...]
    row_count: int
    comment: str = ""
    references: dict[str, tuple[str, str, str]] = field(default_factory=dict)


def survey(source: str, schemas: Sequence[str] = (), tables: Sequence[str] = ()) -> list[FoundTable]:
    """Look at a source's database.

    Args:
        source: the source, whose address is where its reader looks for it.
        schemas: those to look at; the reader's own unless given.
        tables: those to look at; all unless given.

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
        if unknown := [each for each in tables if each not in {name for _, name in places}]:
            raise BuildError(
                f"{source} has no table {', '.join(unknown)} in {', '.join(chosen)}: it has "
                f"{', '.join(name for _, name in places) or 'none'}"
            )
        wanted = [place for place in places if not tables or place[1] in tables]
        with engine.connect() as connection:
            return [_table(connection, inspector, engine, *place, wanted) for place in wanted]
    except SQLAlchemyError as error:
        raise BuildError(
            f"the database of {source} refuses: {first_line(error)}; check that it runs and that "
            f"{variable(source, 'credentials')} names it with a user that may read"
        ) from error
    finally:
        engine.dispose()


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
    table = Table(name, MetaData(), schema=schema, autoload_with=engine, resolve_fks=False)
    rows = connection.execute(select(table).limit(SAMPLE)).fetchall()
    counted = select(text("1")).select_from(table).limit(COUNTED + 1).subquery()
    count = connection.execute(select(text("count(*)")).select_from(counted)).scalar_one()
    found = inspector.get_columns(name, schema)
    columns = tuple(
        FoundColumn(
            each["name"],
            _kind(each["type"], engine),
            bool(each["nullable"]),
            each.get("comment") or "",
            tuple(getattr(each["type"], "enums", ())),
            tuple(str(row[number]) for row in rows if row[number] is not None),
        )
        for number, each in enumerate(found)
    )
    references = {
        each["constrained_columns"][0]: (
            each["referred_schema"] or schema, each["referred_table"], each["referred_columns"][0]
        )
        for each in inspector.get_foreign_keys(name, schema)
        if len(each["constrained_columns"]) == 1
        and (each["referred_schema"] or schema, each["referred_table"]) in wanted
    }  # fmt: skip
    try:
        comment = inspector.get_table_comment(name, schema)["text"] or ""
    except NotImplementedError:  # SQLite has none
        comment = ""
    return FoundTable(schema, name, columns, _key(inspector, schema, name, columns), int(count), comment, references)


def _kind(declared: TypeEngine[Any], engine: Engine) -> str:
    """A type in the database's words; those that SQLAlchemy doesn't know have none."""
    return "" if isinstance(declared, NullType) else str(declared.compile(engine.dialect)).lower()


def _key(inspector: Inspector, schema: str, name: str, columns: Sequence[FoundColumn]) -> tuple[str, ...]:
    primary = inspector.get_pk_constraint(name, schema)["constrained_columns"]
    if primary:
        return tuple(primary)
    nullable = {column.name for column in columns if column.is_nullable}
    unique = [each["column_names"] for each in inspector.get_unique_constraints(name, schema)]
    whole = [tuple(each) for each in unique if not nullable & set(each)]
    return min(whole, key=len, default=())
