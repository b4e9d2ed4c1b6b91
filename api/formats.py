"""Record batches as JSON, NDJSON, CSV, Arrow and Parquet, a batch at a time, column by column in Arrow's own loops.

Batches come with exact numbers as texts (`texts` of `Form`), or as they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from api.kinds import Kind

_ESCAPED = r'["\\\x00-\x1f\x7f]'
_QUOTED = '[",\r\n]|^$'
# What spreadsheets take for a formula (OWASP, CSV Injection), as `make export` has it.
_FORMULA = r"^[=+\-@\t\r]"


@dataclass(frozen=True)
class Form:
    """How an answer is written. `texts`: it wants exact numbers as texts."""

    media: str
    texts: bool
    write: Callable[[dict[str, Kind], Iterator[pa.RecordBatch]], Iterator[bytes]]


def json_rows(kinds: dict[str, Kind], batch: pa.RecordBatch, after: str) -> pa.Array:
    """Each row as a JSON object, with what comes after each."""
    parts: list[Any] = []
    before, quote = "{", ""
    for column, (name, kind) in zip(batch.columns, kinds.items(), strict=True):
        values, is_quoted = _json_values(kind, column)
        # Of a few rows each call costs more than the rows: what every value has around it goes into what joins them.
        if values.null_count:
            values = pc.binary_join_element_wise('"', values, '"', "") if is_quoted else values
            values, is_quoted = pc.fill_null(values, "null"), False
        quote = '"' if is_quoted else ""
        parts += [f"{before}{json.dumps(name)}:{quote}", values]
        before = f"{quote},"
    return pc.binary_join_element_wise(*parts, f"{quote}}}{after}", "")


def _json_values(kind: Kind, column: pa.Array) -> tuple[pa.Array, bool]:
    """Values as JSON writes them, but for quotes and nulls, and whether they stand in quotes."""
    if kind.name in ("smallint", "integer", "bigint", "boolean"):
        return pc.cast(column, pa.string()), False
    if kind.name == "double precision":
        finite = pc.if_else(pc.is_finite(column), column, pa.scalar(None, pa.float64()))
        return pc.cast(finite, pa.string()), False
    values = plain_text(kind, column)
    if kind.arrow == pa.string() and kind.name not in ("uuid", "numeric"):
        values = _replaced(values, _ESCAPED, lambda text: json.dumps(text, ensure_ascii=False)[1:-1])
    return values, True


def csv_rows(kinds: dict[str, Kind], batch: pa.RecordBatch, as_is: bool) -> pa.Array:
    """Each row as a line of CSV, without its end."""
    parts = []
    for kind, column in zip(kinds.values(), batch.columns, strict=True):
        values = plain_text(kind, column)
        if kind.arrow == pa.string() and kind.name not in ("uuid", "numeric"):
            if not as_is:
                values = _replaced(values, _FORMULA, lambda text: "'" + text)
            values = _replaced(values, _QUOTED, lambda text: '"' + text.replace('"', '""') + '"')
        parts.append(pc.fill_null(values, ""))
    return pc.binary_join_element_wise(*parts, ",") if len(parts) > 1 else parts[0]


def plain_text(kind: Kind, column: pa.Array) -> pa.Array:
    """Values as text: exact numbers with all their digits, times by ISO 8601 with their Z."""
    if kind.name == "timestamp":
        seconds = pc.cast(column, pa.timestamp("s"), safe=False)
        if (
            pc.all(pc.equal(pc.cast(seconds, pa.timestamp("us")), pc.cast(column, pa.timestamp("us")))).as_py()
            is not False
        ):
            texts = pc.cast(seconds, pa.string())
        else:
            texts = pc.cast(pc.cast(column, pa.timestamp("us")), pa.string())
            texts = pc.replace_substring_regex(texts, r"\.?0+$", "")
        return pc.binary_join_element_wise(pc.replace_substring(texts, " ", "T"), "Z", "")
    return column if column.type == pa.string() else pc.cast(column, pa.string())


def _replaced(values: pa.Array, pattern: str, by: Callable[[str], str]) -> pa.Array:
    """Texts with those that match the pattern replaced, which are few."""
    found = pc.fill_null(pc.match_substring_regex(values, pattern), False)
    if not pc.any(found).as_py():
        return values
    return pc.replace_with_mask(
        values, found, pa.array([by(each.as_py()) for each in values.filter(found)], pa.string())
    )


def joined(rows: pa.Array) -> bytes:
    """Texts one after the other."""
    rows = rows if rows.offset == 0 else pa.concat_arrays([rows])
    _, offsets, data = rows.buffers()
    if data is None or len(rows) == 0:
        return b""
    end = memoryview(offsets).cast("i")[len(rows)]
    return bytes(memoryview(data)[:end])


def write_json(kinds: dict[str, Kind], batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    """A JSON array of objects."""
    before = b"["
    for batch in batches:
        if len(batch):
            yield before + joined(json_rows(kinds, batch, ",\n"))[:-2]
            before = b",\n"
    yield b"]\n" if before != b"[" else b"[]\n"


def write_ndjson(kinds: dict[str, Kind], batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    """A JSON object a line."""
    for batch in batches:
        yield joined(json_rows(kinds, batch, "\n"))


def csv_writer(as_is: bool) -> Callable[[dict[str, Kind], Iterator[pa.RecordBatch]], Iterator[bytes]]:
    """Writes CSV; `as_is` leaves texts that a spreadsheet would run as formulas."""

    def write(kinds: dict[str, Kind], batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
        yield ",".join(kinds).encode() + b"\r\n"
        for batch in batches:
            yield joined(pc.binary_join_element_wise(csv_rows(kinds, batch, as_is), "\r\n", ""))

    return write


def write_arrow(kinds: dict[str, Kind], batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    """Arrow's stream format."""
    schema = arrow_schema(kinds)
    sink = _Sink()
    with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), schema) as writer:
        for batch in batches:
            writer.write_batch(as_arrow(schema, batch))
            yield sink.taken()
    yield sink.taken()


def write_parquet(kinds: dict[str, Kind], batches: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    """A Parquet file, compressed by zstd."""
    schema = arrow_schema(kinds)
    sink = _Sink()
    with pq.ParquetWriter(pa.PythonFile(sink, mode="w"), schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(as_arrow(schema, batch))
            yield sink.taken()
    yield sink.taken()


def arrow_schema(kinds: dict[str, Kind]) -> pa.Schema:
    """The schema of an answer in Arrow."""
    return pa.schema([(name, kind.arrow) for name, kind in kinds.items()])


def as_arrow(schema: pa.Schema, batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch with the types that the schema has; a time without a zone is in UTC."""
    columns = [
        column if column.type == field.type else pc.cast(column, field.type)
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


class _Sink:
    """A file that keeps what is written until it is taken."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Any) -> int:
        """Keep some bytes."""
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """There is nowhere to flush to."""

    def close(self) -> None:
        """What was written can still be taken."""

    def taken(self) -> bytes:
        """What was written since the last time."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


def form_of(name: str, as_is: bool = False) -> Form:
    """The form of a format's name."""
    return {
        "json": Form("application/json", True, write_json),
        "ndjson": Form("application/x-ndjson", True, write_ndjson),
        "csv": Form("text/csv; charset=utf-8; header=present", True, csv_writer(as_is)),
        "arrow": Form("application/vnd.apache.arrow.stream", False, write_arrow),
        "parquet": Form("application/vnd.apache.parquet", False, write_parquet),
    }[name]
