"""The new messages as relations: messages with their times and faults, segments with what they belong to.

A segment belongs to what stands before it: an observation to the order before it, or to the specimen where one came
since; before any order, to the message. Set ids say nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from ingestion.contract.formats import is_hl7_time
from ingestion.duck import fill
from ingestion.readers.hl7v2.fields import Place
from ingestion.sql import literal

# How much text is handed over at once.
_HANDED_OVER = 64 << 20


@dataclass
class Handover:
    """Takes messages as Python reads them, and hands many at a time to DuckDB's temporary table `hl7_read`."""

    connection: duckdb.DuckDBPyConnection
    rows: list[tuple[str, int, str, str | None]] = field(default_factory=list)
    size: int = 0

    def __post_init__(self) -> None:
        """Make the table."""
        self.connection.execute(
            "create or replace temp table hl7_read (path varchar, number bigint, text varchar, fault varchar)"
        )

    def add(self, path: Path, number: int, text: str, fault: str | None) -> None:
        """Take a message of a file."""
        self.rows.append((str(path), number, text, fault))
        self.size += len(text)
        if self.size > _HANDED_OVER:
            self.flush()

    def flush(self) -> None:
        """Hand over what was taken."""
        fill(self.connection, "hl7_read", ("path", "number", "text", "fault"), self.rows)
        self.rows, self.size = [], 0


def moment(text: str, zone: str) -> str:
    """A DuckDB expression of a time as HL7 writes it, in UTC, cut to microseconds; null where it isn't one.

    One without an offset is local in the zone; what it leaves out is the beginning of what it says.
    """
    digits = f"regexp_extract({text}, '^[0-9]*')"
    whole = f"{digits} || substr('00000101000000', length({digits}) + 1)"
    fraction = f"coalesce(nullif(substr(regexp_extract({text}, '\\.[0-9]+'), 1, 7), ''), '.0')"
    local = f"try_strptime({whole} || {fraction}, '%Y%m%d%H%M%S.%f')"
    offset = f"regexp_extract({text}, '[+-][0-9]{{4}}$')"
    minutes = f"cast(substr({offset}, 2, 2) as integer) * 60 + cast(substr({offset}, 4, 2) as integer)"
    signed = f"case when {offset} < '-' then 1 else -1 end * ({minutes})"
    return (
        f"case when not {is_hl7_time(text)} then null when {offset} = '' "
        f"then timezone('UTC', timezone({literal(zone)}, {local})) "
        f"else {local} - to_minutes({signed}) end"
    )


def make_messages(connection: duckdb.DuckDBPyConnection, seen: str, salt: str, zone: str) -> None:
    """The temporary table `hl7_messages`, of the messages in new files; it needs `versions` and `hl7_read`.

    A message is known by its content. What stands for that is made with a secret, for much of the content can be
    guessed from what raw has of it.

    Args:
        connection: where they are.
        seen: a relation with the `message_id` of all messages in raw.
        salt: the secret.
        zone: where times are local that have no offset.
    """

    def header(number: int, component: int = 1) -> str:
        return Place("MSH", number, component=component).expression("header")

    connection.execute(f"""
        create or replace temp table hl7_messages as
        with headed as (
            select v.file_name, v.modified_at, v.revision as file_revision, r.number as message_number, r.text,
                r.fault, md5({literal(salt)} || r.text) as message_id,
                string_split(split_part(r.text, chr(13), 1), chr(28)) as header
            from hl7_read as r inner join versions as v on v.path = r.path and v.fault is null
        ),
        timed as (
            select * exclude (header), {moment(header(7), zone)} as message_at,
                case
                    when fault is not null then fault
                    when {header(7)} is null then 'no time (MSH-7)'
                    when not {is_hl7_time(header(7))} then 'no sound time (MSH-7)'
                    when {header(9)} is null then 'no type (MSH-9)'
                    when {header(10)} is null then 'no control id (MSH-10)'
                    when {header(9)} = 'ORU' and not regexp_matches(text, '\\r(OBR|OBX)\\x1c')
                        then 'cut off: neither OBR nor OBX'
                end as found_fault
            from headed
        )
        select * exclude (found_fault) replace (found_fault as fault),
            row_number() over (order by file_revision, file_name, message_number) as message,
            row_number() over (
                partition by message_id, found_fault is null order by file_revision, file_name, message_number
            ) > 1 as is_repeat,
            message_id in (select message_id from {seen}) as is_seen
        from timed""")


def make_segments(connection: duckdb.DuckDBPyConnection) -> None:
    """The temporary table `hl7_segments`, of the messages in `hl7_messages`.

    It has `message`, `segment_number` (from 1, MSH), `segment_type` (empty where a line has none), `patient_number`,
    `order_number` and `specimen_number` (which of the message's it belongs to, null where to none), `belongs_to`, and
    the list `fields`.
    """
    kind = "left(line, 3)"
    is_segment = f"regexp_full_match({kind}, '[A-Z][A-Z0-9]{{2}}') and (length(line) = 3 or line[4] = chr(28))"
    connection.execute(f"""
        create or replace temp table hl7_segments as
        with split as (
            select message, string_split(text, chr(13)) as lines from hl7_messages
        ),
        numbered as (
            select message, unnest(lines) as line, generate_subscripts(lines, 1) as segment_number from split
        ),
        named as (
            select *, case when {is_segment} then {kind} else '' end as segment_type
            from numbered where trim(line, chr(32) || chr(9)) <> ''
        ),
        placed as (
            select *,
                count(*) filter (segment_type = 'PID') over before as patients,
                count(*) filter (segment_type = 'OBR') over before as orders,
                count(*) filter (segment_type = 'SPM') over before as specimens,
                max(case
                    when segment_type in ('MSH', 'PID', 'ORC') then segment_number * 4
                    when segment_type = 'OBR' then segment_number * 4 + 1
                    when segment_type = 'SPM' then segment_number * 4 + 2
                end) over before % 4 as level
            from named
            window before as (partition by message order by segment_number rows unbounded preceding)
        )
        select message, segment_number, segment_type, nullif(patients, 0) as patient_number,
            case when segment_type = 'ORC' then orders + 1 when level > 0 then nullif(orders, 0) end as order_number,
            case when level = 2 then specimens end as specimen_number,
            case level when 1 then 'order' when 2 then 'specimen' else 'message' end as belongs_to,
            string_split(line, chr(28)) as fields
        from placed""")
