"""A source's messages as extracts: its new files, the messages in them, and a table for each kind of segment."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Generator
from dataclasses import dataclass, field
from pathlib import Path

from ingestion.contract.contracts import Column, ContractError, Source, Table, contract_file
from ingestion.domains import variables
from ingestion.duck import number
from ingestion.load.extracts import Extract, Reader, all_columns, no_rows
from ingestion.privacy.crosswalk import exchange
from ingestion.readers.files.folder import Delivered
from ingestion.readers.files.layout import Layout, file_table
from ingestion.readers.files.reader import Files, file_versions, found_files
from ingestion.readers.files.verification import BadFileError, Content, chunks
from ingestion.readers.hl7v2.fields import places
from ingestion.readers.hl7v2.messages import Notes, messages
from ingestion.readers.hl7v2.segments import Handover, make_messages, make_segments
from ingestion.readers.settings import said
from ingestion.sql import literal, quoted

_GLOB = "**/*.[hH][lL]7*"
# The columns that are of no place in a segment, and what they are of.
_OWN = {
    **dict.fromkeys(("message_id", "message_number", "file_name"), "m"),
    **dict.fromkeys(
        ("segment_number", "segment_type", "patient_number", "order_number", "specimen_number", "belongs_to"), "s"
    ),
}
# Of other segments than a table's own: those that stand above, and by what they are found.
_ABOVE = {
    "MSH": "message",
    "PID": "patient_number",
    "PV1": "patient_number",
    "ORC": "order_number",
    "OBR": "order_number",
    "SPM": "specimen_number",
}
# All kinds that have no table of their own.
_OTHERS = "*"


@dataclass
class _Reading:
    """What is read of a load's files: the messages for DuckDB, the segments of each file by kind, and notes."""

    source: str
    handover: Handover
    counts: dict[Path, Counter[str]] = field(default_factory=dict)
    notes: list[tuple[Path, str]] = field(default_factory=list)

    def prepared(self, copy: Path, file: Delivered) -> tuple[Path, Content]:
        """Read a copied file. `file`, as it was delivered, is what such functions are given.

        Raises:
            BadFileError: it has no message.
        """
        notes, counts = Notes(), Counter[bytes]()
        for message in messages(chunks(copy), notes):
            self.handover.add(copy, message.number, message.text, message.fault)
            counts += message.segments
        if not counts[b"MSH"]:
            raise BadFileError("no HL7 message: no line begins with MSH" if copy.stat().st_size else "empty")
        self.counts[copy] = Counter({kind.decode(): count for kind, count in counts.items()})
        if notes.latin:
            latin = f"{notes.latin:,} messages name no encoding (MSH-18) and are not UTF-8: read as Latin-1"
            self.notes.append((copy, latin))
        self.notes += [(copy, each) for each in notes.batches]
        return copy, Content((), counts.total())

    def notes_by_name(self, files: Files) -> list[str]:
        """The notes on files that are new, with their names."""
        names = {version.path: version.file.name for version in files.found.fresh}
        return [f"{self.source}: {names[path]}: {note}" for path, note in self.notes if path in names]

    def counted(self, files: Files, kind: str, own: Collection[str]) -> tuple[int, int]:
        """How many segments of a kind there are in the files that are new and sound, and in those that are known.

        Args:
            files: the load's.
            kind: the kind, or that of all which are none of `own`.
            own: the kinds that have tables of their own.
        """
        fresh = {version.path: version.content for version in files.found.fresh}
        found = Counter[bool]()
        for path, counts in self.counts.items():
            if path not in fresh or fresh[path]:
                found[path in fresh] += sum(
                    count for each, count in counts.items() if each == kind or (kind == _OTHERS and each not in own)
                )
        return found[True], found[False]


def extracts(reader: Reader) -> Generator[Extract, None, None]:
    """The files that are new, their messages, and the segments of these.

    Raises:
        ContractError: the contract says something of messages that can't be followed.
        SourceError: the folder can't be read. A file, a message or a segment that can't be read is a reject, and the
            others go on.
    """
    contract, connection = reader.contract, reader.connection
    tables, files = _tables(contract), file_table(contract)
    headers = next((table for table, kind in tables.items() if kind == "MSH"), None)
    if headers is None:
        raise ContractError(f"{contract_file(contract.name)}: no table is of the segment MSH, by which all are known")
    options = said(contract, files, "hl7v2", {"glob", "segment"})
    layout = Layout(headers, glob=str(options.get("glob", _GLOB)), format="hl7v2", holds="changes")
    reading = _Reading(contract.name, Handover(connection))
    notes, [found] = found_files(reader, [layout], reading.prepared)
    reading.handover.flush()
    yield file_versions(reader, [found], [*notes, *found.found.notes, *reading.notes_by_name(found)])
    if is_new := any(version.content for version in found.found.fresh):
        zone = str(variables(reader.target.project).get("business_timezone", "UTC"))
        make_messages(connection, f"(select message_id from {reader.complete(headers.name)})", _salt(reader), zone)
        make_segments(connection)
    own = sorted(tables.values())
    for table, kind in tables.items():
        if not is_new:  # to find nothing in nothing takes DuckDB as long to plan as anything
            known = reading.counted(found, kind, own)[1]
            yield Extract(table, f"({no_rows(all_columns(contract)[table.name])})", known, known=known)
            continue
        of_kind = f"not in ({', '.join(map(literal, own))})" if kind == _OTHERS else f"= {literal(kind)}"
        yield _segments(reader, table, of_kind, reading.counted(found, kind, own))


def _salt(reader: Reader) -> str:
    """What makes the id of a message from its content: a secret of the crosswalk's, the same for all who share that."""
    asked = f"select 'hl7v2_messages' as kind, {literal(reader.contract.name)} as value"
    token = exchange(reader.target, reader.connection, asked, reader.workspace)
    row = reader.connection.execute(f"select token from {token}").fetchone()
    assert row is not None
    return str(row[0])


def _tables(contract: Source) -> dict[Table, str]:
    """The segment that each table of a contract has, `*` for all that no other has.

    Raises:
        ContractError: one says none, or one that no segment is called.
    """
    found = {}
    for table in contract.tables:
        if table is not file_table(contract):
            segment = str(said(contract, table, "hl7v2", {"glob", "segment"}).get("segment", ""))
            if not re.fullmatch(r"[A-Z][A-Z0-9]{2}|\*", segment):
                raise ContractError(
                    f"{contract_file(contract.name)}: {table.name}: config.meta.hl7v2.segment is '{segment}': say one "
                    "such as OBX, or '*' for all that no other table has"
                )
            if not {"message_id", "segment_number"} <= set(table.key):
                raise ContractError(
                    f"{contract_file(contract.name)}: {table.name}: its key needs message_id and segment_number"
                )
            found[table] = segment
    return found


def _segments(reader: Reader, table: Table, kind: str, counts: tuple[int, int]) -> Extract:
    """The segments of one kind. `counts` says how many there are in new files, and in those that are known."""
    connection = reader.connection
    mine = f"""
        from hl7_segments as s inner join hl7_messages as m using (message)
        where s.segment_type {kind}"""
    faulty = "(m.fault is not null or s.segment_type = '')"
    nameless, seen, bad = connection.execute(f"""
        select count(*) filter (s.segment_type = ''), count(*) filter (m.fault is null and m.is_seen),
            count(*) filter {faulty}
        {mine}""").fetchall()[0]
    known = "m.is_repeat"
    if seen:
        # Of a message that raw has, records may have been rejected: these are judged again.
        raw = f"(select message_id, segment_number from {reader.complete(table.name)})"
        known += f" or (m.is_seen and (m.message_id, s.segment_number) in {raw})"
    repeated = number(connection, f"select count(*) {mine} and not {faulty} and ({known})")
    key = [quoted(name) if name in ("message_id", "segment_number") else "null" for name in table.reject_key]
    rejects = f"""
        select to_json([{", ".join(f"cast({name} as varchar)" for name in key)}]) as record_key,
            json_object(
                'file_name', m.file_name, 'message_number', m.message_number, 'segment_number', s.segment_number,
                'segment_type', s.segment_type
            ) as record,
            to_json([coalesce('message: ' || m.fault, 'segment: a line without a name')]) as reasons,
            coalesce(epoch_us(m.message_at), m.file_revision) as _revision,
            coalesce(m.message_at, m.modified_at) as _effective_at
        {mine} and {faulty}"""
    fresh, touched = counts
    return Extract(
        table,
        _relation(table, f"s.segment_type {kind} and not {faulty} and not ({known})"),
        fresh + touched + nameless,
        known=touched + repeated,
        rejects=rejects if bad else None,
    )


def _relation(table: Table, condition: str) -> str:
    """The rows of a table: of each segment its own columns, and those of what stands above it."""
    own = str(table.meta.get("hl7v2", {}).get("segment"))
    above: dict[str, list[str]] = {}
    columns = [f"{_value(table, column, own, above)} as {quoted(column.name)}" for column in table.columns]
    joins = ""
    for segment, values in above.items():
        by, name = _ABOVE[segment], quoted(f"above_{segment}")
        partition = "message" if by == "message" else f"message, {by}"
        same = f"{name}.message = s.message" + (f" and {name}.{by} = s.{by}" if by != "message" else "")
        listed = ", ".join(f"{value} as {quoted(f'{place}')}" for place, value in enumerate(values))
        # Of several before one order, the one that is next to it.
        joins += f"""
        left join (
            select {partition}, {listed} from hl7_segments where segment_type = {literal(segment)}
            qualify row_number() over (
                partition by {partition} order by segment_number {"desc" if segment == "ORC" else ""}
            ) = 1
        ) as {name} on {same}"""
    return f"""(
        select {", ".join(columns)}, 'U' as _operation, epoch_us(m.message_at) as _revision,
            m.message_at as _effective_at
        from hl7_segments as s inner join hl7_messages as m using (message) {joins}
        where {condition})"""


def _value(table: Table, column: Column, own: str, above: dict[str, list[str]]) -> str:
    """DuckDB's expression of a column. What it takes from segments above is added to `above`."""
    if not column.source_name and column.name in _OWN:
        return f"{_OWN[column.name]}.{quoted(column.name)}"
    where = f"{contract_file(table.source)}: {table.name}"
    values = []
    for place in places(where, column):
        if place.segment == own:
            values.append(place.expression("s.fields"))
        elif place.segment in _ABOVE:
            taken = above.setdefault(place.segment, [])
            taken.append(place.expression("fields"))
            values.append(f"{quoted(f'above_{place.segment}')}.{quoted(str(len(taken) - 1))}")
        else:
            raise ContractError(
                f"{where}.{column.name}: {place.segment} doesn't stand above {own}: say {', '.join(_ABOVE)} or {own}"
            )
    return f"coalesce({', '.join(values)})" if values[1:] else values[0]
