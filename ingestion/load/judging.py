"""The contract pass: each extract is read once and judged, and becomes the files that dlt imports."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import duckdb

from ingestion.contract.contracts import META_COLUMNS, Table
from ingestion.contract.rules import GIVEN, as_rejects, judged, rejected
from ingestion.duck import number
from ingestion.load.comparing import different, repeated, unknown
from ingestion.load.extracts import (
    LOAD_COLUMNS,
    PROFILE_COLUMNS,
    REJECT_COLUMNS,
    Extract,
    Loaded,
    LoadError,
    Reader,
    SourceError,
    first_line,
)
from ingestion.load.handover import write_files
from ingestion.load.profiling import profile
from ingestion.load.straight import goes_straight, insert
from ingestion.privacy.crosswalk import exchange
from ingestion.privacy.identifiers import (
    RECORD,
    as_known,
    identifier_in,
    kind_of,
    normal_form,
    person_column,
    without_rest,
)
from ingestion.privacy.tombstones import forgotten_of
from ingestion.sql import literal, quoted

_REASONS_SHOWN = 3


class ContractPass:
    """One load of one source: the contract pass over each extract, and the files for dlt."""

    def __init__(self, reader: Reader, load_id: str):
        self.reader = reader
        self.load_id = load_id
        self.results: list[Loaded] = []
        self.cursors: dict[str, str | None] = {}
        self.inserted: list[str] = []  # the tables that have rows of this load already, which take no file
        for name, columns in (("rejects", REJECT_COLUMNS), ("loads", LOAD_COLUMNS), ("profiles", PROFILE_COLUMNS)):
            listed = ", ".join(f"{column} {kind}" for column, kind in columns.items())
            reader.connection.execute(f"create or replace temp table {name} ({listed})")

    def _copy(self, select: str, name: str) -> tuple[list[Path], int]:
        return write_files(self.reader, select, name)

    def _has_rows(self, relation: str) -> bool:
        return self.reader.connection.execute(f"select 1 from {relation} limit 1").fetchone() is not None

    def _stamp(self) -> str:
        return f"{self.reader.observed} as _observed_at, {literal(self.load_id)} as _load_id"

    def take(self, extract: Extract) -> tuple[list[Path], int]:
        """Judge one extract: write its good rows to files, keep its rejects, note the counts.

        Returns:
            The files for dlt and their rows.

        Raises:
            SourceError: the source breaks off while it is read.
            LoadError: what was read is not what the source counted.
        """
        # A log has no order but what its columns say, and DuckDB is faster where it need not keep one. What a source
        # does between its extracts may need it: a file's lines are numbered in their order.
        self.reader.connection.execute("set preserve_insertion_order = false")
        try:
            return self._take(extract)
        finally:
            self.reader.connection.execute("set preserve_insertion_order = true")

    def _take(self, extract: Extract) -> tuple[list[Path], int]:
        connection, table = self.reader.connection, extract.table
        extract = replace(extract, relation=without_rest(table, extract.relation))
        where = f"{table.source}.{table.name}"
        listed = ", ".join(quoted(c) for c in [*table.column_names, *GIVEN])
        forgotten = forgotten_of(self.reader.target, table)
        tokens: str | None = None
        try:
            types = {str(row[0]): str(row[1]) for row in connection.execute(f"describe {extract.relation}").fetchall()}
            straight = goes_straight(self.reader, extract, types) and not forgotten
            # As of most tables in most loads: to look takes less than to judge nothing. Where there is something it
            # would be read twice.
            more = extract.compared or extract.deletes or extract.conclude or extract.rejects
            nothing = not (extract.source_count or more or self._has_rows(extract.relation))
            if nothing:
                read = bad = 0
            elif straight:
                self.inserted.append(table.name)
                read, bad = insert(self.reader, extract, types, self._stamp(), self.load_id)
            else:
                read = self._read(table, extract.relation, types)
        except duckdb.Error as error:
            raise SourceError(
                f"{where}: the source could not be read to its end: {first_line(error)}; nothing of it was loaded: "
                "check the source, then load again"
            ) from error
        if not (straight or nothing):
            # Most extracts have no bad rows: to plan what only those need would take longer than a small load itself.
            bad = number(self.reader.connection, "select count(*) from judged where not _is_good") if read else 0
            tokens = self._tokens(extract, bad)
            good = as_known(
                table, [*table.column_names, *GIVEN], "(select * from judged where _is_good)", tokens, forgotten
            )
            connection.execute(f"create or replace temp view good as {good}")
        if extract.compared:
            # A record that broke the contract is there all the same.
            keys = as_known(table, list(table.key), "judged", tokens, forgotten)
            connection.execute(f"create or replace temp table read_keys as {keys}")
        cursor = extract.conclude() if extract.conclude else extract.cursor
        rows, known = "good", extract.known
        if extract.compared:
            rows, same = different(self.reader, table)
            known += same
        if extract.compare_since is not None and read:
            rows, same = unknown(self.reader, table, extract.compare_since)
            known += same
        if extract.repeats and read:
            rows, same = repeated(self.reader, table)
            known += same
        versions, deleted = f"select {listed} from {rows}", 0
        if extract.deletes:
            connection.execute(f"create or replace temp table deletes as select {listed} from ({extract.deletes})")
            deleted = number(self.reader.connection, "select count(*) from deletes")
            versions += f" union all select {listed} from deletes"
        files, written, new_rejects, reasons = list[Path](), 0, 0, tuple[tuple[str, int], ...]()
        if straight:
            written = number(self.reader.connection, "select count(*) from good") if read else 0
        elif read or deleted:
            named = [*table.column_names, *META_COLUMNS]
            ordered = ", ".join(quoted(c) for c in self.reader.in_order(table.name, named))
            files, written = self._copy(f"select {ordered} from (select *, {self._stamp()} from ({versions}))", where)
        if written:
            profile(self.reader, extract, versions, self._stamp())
        if bad or extract.rejects:
            new_rejects, same = self._reject(table, types, extract.rejects, tokens)
            known += same
            reasons = self._reasons() if new_rejects else ()
        loaded = written - deleted
        if loaded + known + new_rejects != extract.source_count:
            raise LoadError(
                f"{where}: the source counts {extract.source_count:,} records, but {loaded:,} loaded + {known:,} known "
                f"+ {new_rejects:,} rejected were read; nothing of this source was loaded. If the source is written to "
                "while it is read, load again; else its reader has a fault"
            )
        counts = (extract.source_count, loaded, known, new_rejects, deleted)
        told = (extract.compared, extract.notes, extract.more, reasons)
        self.results.append(Loaded(table.source, table.name, *counts, *told))
        self.cursors[table.name] = cursor
        return files, written

    def take_back(self) -> None:
        """Take the rows out of raw that were inserted: the load fails. They don't count, if this fails too."""
        with suppress(duckdb.Error):
            for name in self.inserted:
                self.reader.connection.execute(
                    f"delete from {self.reader.raw(name)} where _load_id = {literal(self.load_id)}"
                )

    def _read(self, table: Table, relation: str, types: dict[str, str]) -> int:
        """Read and judge an extract: what follows works on the view `judged`. Returns its rows.

        They lie in a file, and not in a temporary table: it may be larger than memory, and in the transaction that
        holds a database's one state, DuckDB would read its own new tables with one thread.
        """
        file = literal(str(self.reader.workspace / "judged.parquet"))
        # To look for values that repeat takes longer than to write them out.
        options = "format parquet, parquet_version v2, compression uncompressed, dictionary_size_limit 1"
        read = number(self.reader.connection, f"copy ({judged(table, relation, types)}) to {file} ({options})")
        self.reader.connection.execute(f"create or replace temp view judged as from read_parquet({file})")
        return read

    def _tokens(self, extract: Extract, bad: int) -> str | None:
        """The tokens for all direct identifiers of the extract, as a relation; None where its table has none.

        A record that couldn't even be read as a row is an identifier as a whole.
        """
        found = []
        forgotten, person = forgotten_of(self.reader.target, extract.table), person_column(extract.table)
        for column in extract.table.identifiers:
            for record, where in [("", "_is_good"), *([("_source.", "not _is_good")] if bad else [])]:
                value = identifier_in(column, f"{record}{quoted(column.name)}")
                if forgotten:
                    known = f"cast({record}{quoted(str(person))} as varchar)"
                    where += f" and coalesce({known} not in (select person from {forgotten}), true)"
                found.append(f"select {literal(kind_of(column))} as kind, {value} as value from judged where {where}")
        if not found:
            return None
        if extract.rejects:
            found.append(f"select {literal(RECORD)}, {normal_form('record', RECORD)} from ({extract.rejects})")
        values = f"select kind, value from ({' union all '.join(found)}) where value is not null"
        return exchange(self.reader.target, self.reader.connection, values, self.reader.workspace)

    def _reject(
        self, table: Table, types: dict[str, str], unreadable: str | None, tokens: str | None
    ) -> tuple[int, int]:
        """Keep the rejects that are not known yet. Returns (new, known)."""
        connection = self.reader.connection
        bad = rejected(table, "judged", types)
        names = [*table.column_names, "reasons", "_revision", "_effective_at"]
        bad = as_rejects(
            table, as_known(table, names, f"({bad})", tokens, forgotten_of(self.reader.target, table)), types
        )
        if unreadable and tokens:
            unreadable = (
                "select u.* replace (cast(json_object('_token', t.token) as varchar) as record) "
                f"from ({unreadable}) as u left join {tokens} as t "
                f"on t.kind = {literal(RECORD)} and t.value = {normal_form('u.record', RECORD)}"
            )
        if unreadable:
            bad += f" union all select record_key, record, reasons, _revision, _effective_at from ({unreadable})"
        connection.execute(f"""
            create or replace temp table rejected as
            select md5(concat_ws('|', {literal(table.name)}, record, reasons, _revision)) as reject_id,
                count(*) as copies, any_value(record_key) as record_key, record, reasons, _revision,
                min(_effective_at) as _effective_at
            from ({bad}) group by record, reasons, _revision""")
        read = number(self.reader.connection, "select coalesce(sum(copies), 0) from rejected")
        if not read:
            return 0, 0
        connection.execute(f"""
            delete from rejected where reject_id in (
                select reject_id from {self.reader.complete("rejects")} where resource = {literal(table.name)}
            )""")
        connection.execute(f"""
            insert into rejects by name
            select reject_id, {literal(table.name)} as resource, record_key, record, reasons, _revision, _effective_at,
                {self._stamp()}
            from rejected""")
        new = number(self.reader.connection, "select count(*) from rejected")
        return new, read - new

    def _reasons(self) -> tuple[tuple[str, int], ...]:
        """The reasons of the extract's new rejects that are most frequent."""
        rows = self.reader.connection.execute(f"""
            select reason, count(*) as n from (select unnest(from_json(reasons, '["VARCHAR"]')) as reason from rejected)
            group by reason order by n desc, reason limit {_REASONS_SHOWN}""").fetchall()
        return tuple((str(reason), int(count)) for reason, count in rows)

    def rejects(self) -> tuple[list[Path], int]:
        """The files of all rejects of this load, and their number."""
        return self._copy("select * from rejects", "rejects")

    def audit(self) -> tuple[list[Path], int]:
        """The files of `raw_<source>.loads` for this load: one row for each resource."""
        told: list[object] = []
        for result in self.results:
            told += [
                result.resource,
                result.source_count,
                result.loaded,
                result.known,
                result.rejected,
                result.deleted,
                self.cursors[result.resource],
                self.reader.observed_at.replace(tzinfo=None),
                self.load_id,
            ]
        if told:
            row = f"({', '.join('?' * len(LOAD_COLUMNS))})"
            self.reader.connection.execute(f"insert into loads values {', '.join([row] * len(self.results))}", told)
        return self._copy("select * from loads", "loads")

    def profiles(self) -> tuple[list[Path], int]:
        """The files of `raw_<source>.profiles` for this load: one row for each column of a resource that changed."""
        return self._copy("select * from profiles", "profiles")
