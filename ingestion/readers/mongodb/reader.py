"""A source's collections as extracts: its settings, how each is followed, what is read of it."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bson import Timestamp, json_util
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import ConfigurationError, InvalidURI, PyMongoError

from ingestion.contract.contracts import Table, contract_file
from ingestion.load.extracts import Extract, Reader, SourceError, first_line, timestamp_literal
from ingestion.readers.documents import value_in
from ingestion.readers.gone import compared
from ingestion.readers.mongodb.stream import Changes, LostError, beginning, changes, revision_of
from ingestion.readers.mongodb.values import line, text_of
from ingestion.readers.settings import setting, variable
from ingestion.sql import literal, quoted, utc_time

FOLLOW = ("auto", "stream", "compare")
_TIMEOUT_MS = 10_000
_LOOKED_UP_AT_ONCE = 1_000
_LARGEST_DOCUMENT = 1 << 27  # bytes of JSON; MongoDB's own limit is 16 MiB of BSON


def is_configured(source: str) -> bool:
    """Whether SOURCES__<SOURCE>__CREDENTIALS (or its place in .dlt) is set."""
    return bool(setting(source, "credentials", secret=True))


def extracts(reader: Reader) -> Generator[Extract, None, None]:
    """What happened to each collection since the last load, all of them up to one moment of the cluster.

    A collection that isn't followed yet is copied, and what happened meanwhile comes after. One whose stream is lost,
    and every one where the server has no streams, is compared as a whole.

    Raises:
        SourceError: the server can't be reached or read, or an implausible share of a collection is gone.
    """
    source = reader.contract.name
    follow = str(setting(source, "follow", "auto"))
    if follow not in FOLLOW:
        raise SourceError(f"{source}: {variable(source, 'follow')} is '{follow}': use one of {', '.join(FOLLOW)}")
    for table in reader.contract.tables:
        _require_id(table)
    with _database(source) as database, _named_errors(source):
        there = set(database.list_collection_names())
        missing = [table.at_source for table in reader.contract.tables if table.at_source not in there]
        if missing:
            raise SourceError(
                f"{source}: there is no collection {', '.join(missing)} in {database.name}, which has "
                f"{', '.join(sorted(there)) or 'none'}; nothing was loaded"
            )
        read = _Source(reader, database, follow, _now(database))
        prepared = [read.before(table) for table in reader.contract.tables]
        end = _now(database)
        for each in prepared:
            yield each if isinstance(each, Extract) else read.changed(each, end)


def _require_id(table: Table) -> None:
    """Raise SourceError unless the key is the document's `_id`, which raw has to have as it is."""
    columns = {column.name: column for column in table.columns}
    [key, *more] = table.key
    if more or columns[key].at_source != "_id" or columns[key].identifies:
        raise SourceError(
            f"{table.source}.{table.name}: a document is known by its _id: the key has to be the one column with "
            f"source_name: _id, and no direct identifier; see {contract_file(table.source)}"
        )


@contextmanager
def _database(source: str) -> Iterator[Database[dict[str, Any]]]:
    credentials = str(setting(source, "credentials", secret=True))
    try:
        client: MongoClient[dict[str, Any]] = MongoClient(
            credentials, serverSelectionTimeoutMS=_TIMEOUT_MS, readConcernLevel="majority", appname="granary"
        )
        database = client.get_default_database(default=setting(source, "database"))
    except (ConfigurationError, InvalidURI, ValueError) as error:
        raise SourceError(
            f"{source}: {variable(source, 'credentials')} is no address of a MongoDB database, such as "
            f"mongodb://reader:…@host/name?replicaSet=…: {type(error).__name__}"
        ) from error
    with client:
        yield database


@contextmanager
def _named_errors(source: str) -> Iterator[None]:
    try:
        yield
    except PyMongoError as error:
        told = first_line(error).split(", full error")[0].split(", Timeout:")[0]
        raise SourceError(
            f"{source}: MongoDB can't be read: {told}; nothing was loaded. Check {variable(source, 'credentials')}, "
            "and that its user may find in the database and watch it"
        ) from error


def _now(database: Database[dict[str, Any]]) -> Timestamp | None:
    """The moment of the cluster; None where the server tells none, which then has no streams either."""
    answer = database.command("ping")
    return answer.get("operationTime")


@dataclass(frozen=True)
class _Followed:
    """A collection that is followed: where its stream goes on, and the copy that a first load has before it."""

    table: Table
    token: str
    copy: Path | None = None
    copied: int = 0


@dataclass(frozen=True)
class _Source:
    """One load of a database. `begun`: the moment of the cluster before anything was read, if it tells one."""

    reader: Reader
    database: Database[dict[str, Any]]
    follow: str
    begun: Timestamp | None

    def before(self, table: Table) -> Extract | _Followed:
        """What is read before the one moment up to which all streams are: a collection as a whole.

        Raises:
            SourceError: it is to be followed, and the server has no streams.
        """
        cursor = json.loads(self.reader.cursors.get(table.name) or "{}")
        if cursor.get("token") and self.follow != "compare":
            return _Followed(table, cursor["token"])
        token = beginning(self._collection(table)) if self.follow != "compare" and self.begun else None
        if self.follow == "stream" and token is None:
            raise SourceError(
                f"{table.source}: this server has no change streams, which a replica set has: set "
                f"{variable(table.source, 'follow')}=auto to compare its collections as a whole"
            )
        if token is None:
            return self._compared(table, None, ())
        if table.name in self.reader.existing and self._has_rows(table):
            return self._compared(table, token, ())  # it was compared so far
        return _Followed(table, token, *self._copied(table))

    def changed(self, followed: _Followed, end: Timestamp | None) -> Extract:
        """The changes up to a moment, after the copy where there is one."""
        table, collection = followed.table, self._collection(followed.table)
        assert end is not None, "a server with change streams tells its time"
        try:
            found = changes(collection, followed.token, end)
        except LostError as error:
            note = f"{table.source}: {table.name} is compared as a whole: {error}; states since then are not known"
            return self._compared(table, beginning(collection), (note,))
        _look_up(collection, found)
        path = self.reader.workspace / f"changes.{table.name}.jsonl"
        with path.open("wb") as file:
            for (_, revision), (document, moment) in found.versions.items():
                file.write(line({"d": document, "r": revision, "t": moment}))
        files = [each for each in (followed.copy, path) if each]
        return replace(
            self._extract(table, files, followed.copied + len(found.versions)),
            cursor=json.dumps({"token": found.token}),
            deletes=_deletes(self.reader, table, found) if found.deletes else None,
        )

    def _collection(self, table: Table) -> Collection[dict[str, Any]]:
        # Dates that Python has no datetime for come as numbers.
        options: CodecOptions[dict[str, Any]] = CodecOptions(
            tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_AUTO
        )
        return self.database.get_collection(table.at_source, codec_options=options)

    def _has_rows(self, table: Table) -> bool:
        return bool(
            self.reader.connection.execute(f"select 1 from {self.reader.complete(table.name)} limit 1").fetchall()
        )

    def _copied(self, table: Table) -> tuple[Path, int]:
        """All documents of a collection, as they were from when it was begun to be read."""
        path, count = self.reader.workspace / f"copy.{table.name}.jsonl", 0
        revision = revision_of(self.begun) if self.begun else 0
        with path.open("wb") as file:
            for document in self._collection(table).find({}):
                file.write(line({"d": document, "r": revision, "t": None}))
                count += 1
        return path, count

    def _compared(self, table: Table, token: str | None, notes: tuple[str, ...]) -> Extract:
        """The whole collection, of which those documents are loaded that differ from their latest version in raw."""
        path, count = self._copied(table)
        extract = replace(self._extract(table, [path], count), cursor=json.dumps({"token": token}), notes=notes)
        return compared(self.reader, extract, self._at)

    @property
    def _at(self) -> str:
        """When it was begun to be read, by the server's clock if it tells: a DuckDB literal."""
        return timestamp_literal(self.begun.as_datetime()) if self.begun else self.reader.observed

    def _extract(self, table: Table, files: list[Path], count: int) -> Extract:
        """The documents in these files as rows."""
        columns = {column.name: column for column in table.columns}
        values = ", ".join(f"{value_in('document', each)} as {quoted(each.name)}" for each in table.columns)
        modified = utc_time(value_in("document", columns[table.modified_at])) if table.modified_at else "null"
        listed = ", ".join(literal(str(path)) for path in files)
        relation = f"""(
            select {values}, 'U' as _operation, revision as _revision,
                coalesce(moment, cast({modified} as timestamp), {self._at}) as _effective_at
            from (
                select json -> '$.d' as document, cast(json ->> '$.r' as bigint) as revision,
                    timezone('UTC', cast(json ->> '$.t' as timestamptz)) as moment
                from read_ndjson_objects([{listed}], maximum_object_size = {_LARGEST_DOCUMENT})
            ))"""
        return Extract(table, relation, count)


def _look_up(collection: Collection[dict[str, Any]], found: Changes) -> None:
    """Give the last update of each document, of which the stream had no document, the one that is there now."""
    ids = {name: json_util.loads(name) for name in found.unknown}
    names = list(ids)
    for start in range(0, len(names), _LOOKED_UP_AT_ONCE):
        wanted = [ids[name] for name in names[start : start + _LOOKED_UP_AT_ONCE]]
        for document in collection.find({"_id": {"$in": wanted}}):
            name = json_util.dumps(document["_id"])
            revision, moment = found.unknown[name]
            found.versions[name, revision] = (document, moment)


def _deletes(reader: Reader, table: Table, found: Changes) -> str:
    """The versions that delete: a document that is gone is known by its id alone, so the rest is as it was last."""
    reader.connection.execute("create or replace temp table deleted (_id varchar, _deleted bigint, _moment timestamp)")
    reader.connection.executemany(
        "insert into deleted values (?, ?, ?)",
        [
            (text_of(json_util.loads(name)), revision, moment.replace(tzinfo=None))
            for (name, revision), moment in found.deletes.items()
        ],
    )
    columns, key = ", ".join(quoted(name) for name in table.column_names), quoted(table.key[0])
    return f"""
        select {columns}, 'D' as _operation, _deleted as _revision, greatest(_moment, _effective_at) as _effective_at
        from (
            select {columns}, _operation, _revision, _effective_at from ({reader.latest(table)})
            union all select {columns}, _operation, _revision, _effective_at from good
        ) as known
        inner join deleted on deleted._id = cast(known.{key} as varchar) and known._revision < deleted._deleted
        qualify row_number() over (partition by _id, _deleted order by known._revision desc) = 1
            and known._operation = 'U'"""
