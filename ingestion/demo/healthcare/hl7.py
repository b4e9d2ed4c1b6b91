"""HL7 v2.5.1 messages of results (ORU^R01), written segment by segment."""

from __future__ import annotations

from typing import Any, NamedTuple

from ingestion.demo.clock import DAY

from .clock import compact

Fields = dict[int, str]


class Separators(NamedTuple):
    """What a message separates by, as its MSH says."""

    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    part: str = "&"


USUAL, RARE = Separators(), Separators("#", "*", "+", "!", "@")


def escaped(text: str, by: Separators) -> str:
    """A text in which no separator is one. The escape goes first, and a new line is `.br`."""
    for sign, letter in ((by.escape, "E"), (by.field, "F"), (by.component, "S"), (by.part, "T"), (by.repetition, "R")):
        text = text.replace(sign, f"\0{letter}\0")
    return text.replace("\n", "\0.br\0").replace("\0", by.escape)


def segment(name: str, fields: Fields, by: Separators) -> str:
    """A segment: its fields by number, from 1."""
    values = [fields.get(i, "") for i in range(1, max(fields) + 1)]
    return by.field.join([name, *values])


def _header(t: int, control_id: str, charset: str, by: Separators, time: str | None) -> str:
    fields = {
        1: f"{by.component}{by.repetition}{by.escape}{by.part}",
        2: "MLAB",
        3: "MARLOWE",
        4: "CLINIC",
        6: time or compact(t),
        8: by.component.join(("ORU", "R01", "ORU_R01")),
        9: control_id,
        10: "P",
        11: "2.5.1",
        17: charset,
    }
    return segment("MSH", fields, by)  # MSH-1 is the separator itself: field 1 here is MSH-2


def _patient(order: dict[str, Any], by: Separators) -> str:
    record, join = order["patient"], by.component.join

    def text(value: str) -> str:
        return escaped(value, by)

    zip_code, city, state = record["home"]
    numbers = [join((order["mrn"], "", "", "MARLOWE", "MR"))] if order["mrn"] else []
    # An account of the laboratory's own: a repetition of another type.
    numbers.append(join((f"A{order['filler'][1:]}", "", "", "MLAB", "AN")))
    fields = {
        1: "1",
        3: by.repetition.join(numbers),
        5: join((text(record["family"]), text(record["given"]))),
        7: record["birth_date"].replace("-", ""),
        8: record["sex"][0].upper(),
        11: join((text(record["street"]), "", text(city), state, zip_code, "USA")),
        13: record["phone"],
        19: order["ssn"] or "",
    }
    return segment("PID", fields, by)


def _result(number: int, analyte: dict[str, Any], order: dict[str, Any], by: Separators) -> str:
    join = by.component.join
    value = ""
    if analyte["status"] != "I":
        kind, written = analyte["type"], analyte["value"]
        if kind == "CWE":
            value = join((written, escaped(analyte["display"], by), "SCT"))
        elif kind == "SN":
            value = join(("<" if written.startswith("<") else "", written.lstrip("<")))
        else:
            value = by.repetition.join(escaped(each, by) for each in written.split("~"))
    fields = {
        1: str(number),
        2: analyte["type"],
        3: join((analyte["code"], escaped(analyte["name"], by), "LN")),
        5: value,
        6: join((escaped(analyte["unit"], by), "", "UCUM")) if analyte["unit"] else "",
        7: analyte["range"],
        8: analyte["flag"],
        11: analyte["status"],
        14: compact(order["collected"]),
    }
    return segment("OBX", fields, by)


def message(t: int, control_id: str, order: dict[str, Any], status: str, time: str | None = None) -> str:
    """The message of an order as it stands, each segment ended by CR.

    Args:
        t: when it is written.
        control_id: its number.
        order: the order, with its analytes.
        status: OBR-25.
        time: MSH-7, where it isn't `t`.
    """
    by = RARE if t // DAY % 11 == 5 else USUAL
    join = by.component.join
    lines = [
        _header(t, control_id, charset_of(t // DAY), by, time),
        _patient(order, by),
        segment("ORC", {1: "RE", 2: order["placer"], 3: order["filler"]}, by),
    ]
    fields = {
        1: "1",
        2: order["placer"],
        3: order["filler"],
        4: join((order["panel"][0], escaped(order["panel"][1], by), "LN")),
        7: compact(order["collected"]),
        22: compact(t),
        25: status,
    }
    lines.append(segment("OBR", fields, by))
    # The order of results, and so their set ids, is another with each message.
    analytes = order["analytes"] if status == "P" else order["analytes"][::-1]
    lines += [_result(number, analyte, order, by) for number, analyte in enumerate(analytes, start=1)]
    if order["remark"]:
        lines.append(segment("NTE", {1: "1", 2: "L", 3: escaped(order["remark"], by)}, by))
    specimen = join(("119364003", "Serum", "SCT"))
    lines.append(segment("SPM", {1: "1", 2: f"S{order['filler'][1:]}", 4: specimen}, by))
    return "".join(f"{line}\r" for line in lines)


def charset_of(day: int) -> str:
    """MSH-18 of a day's messages; where it says nothing, they are UTF-8."""
    return {11: "8859/1", 3: "UNICODE UTF-8"}.get(day % 17, "")
