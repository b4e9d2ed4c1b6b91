"""Where a column stands in a message, as the contract's `source_name` says it, and how DuckDB finds it there.

A place is `OBX-3.1` (segment, field, component), `PID-5.1.1` (subcomponent), `PID-3[5=MR].1` (of the first repetition
whose fifth component is MR, not of the first of all), `OBX-8[*]` (all repetitions, as a JSON list of texts). Of several
with ` | ` between, the first that has a value counts. `lines(OBX-5)` is a field as text, a line a repetition;
`count(OBX-5)` its repetitions, `length(NTE-3)` its characters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ingestion.contract.contracts import Column, ContractError
from ingestion.readers.hl7v2.messages import COMPONENT, REPETITION, SUBCOMPONENT
from ingestion.sql import literal

_PLACE = re.compile(
    r"(?P<segment>[A-Z][A-Z0-9]{2})-(?P<field>\d+)"
    r"(?:\[(?:(?P<all>\*)|(?P<of>\d+)=(?P<value>[^\]]+))\])?(?:\.(?P<component>\d+)(?:\.(?P<sub>\d+))?)?"
)
_ASKED = re.compile(r"(?:(?P<function>lines|count|length)\()?(?P<place>[^()]+)\)?")
# A field that says "delete what you have" (chapter 2: the null value) has no value.
_NULL = '""'


@dataclass(frozen=True)
class Place:
    """One place in a segment: what `source_name` says, and the SQL of its value, text in the list `fields`."""

    segment: str
    field: int
    function: str = ""
    all: bool = False
    of: int = 0
    value: str = ""
    component: int = 0
    sub: int = 0

    def expression(self, fields: str) -> str:
        """DuckDB's expression of the value; null where there is none.

        Args:
            fields: an expression of the segment's fields, the segment's name first.
        """
        # MSH-1 is the separator itself, so that the fields of MSH are one less.
        field = f"nullif(nullif({fields}[{self.field if self.segment == 'MSH' else self.field + 1}], ''), '{_NULL}')"
        if (self.segment, self.field) == ("OBX", 5):
            # Encapsulated data, such as a scanned letter, stays where it is.
            field = field if self._is_measure else f"case when {fields}[3] is distinct from 'ED' then {field} end"
        return f"nullif(nullif({self._within(field)}, ''), '{_NULL}')" if self._is_text else self._within(field)

    @property
    def _is_measure(self) -> bool:
        return self.function in ("count", "length")

    @property
    def _is_text(self) -> bool:
        return not self.all and not self._is_measure

    def _within(self, field: str) -> str:
        repetitions = f"string_split({field}, {_character(REPETITION)})"
        if self.function == "length":
            return f"length({field})"
        if self.function == "count":
            return f"len({repetitions})"
        if self.function == "lines":
            return _as_written(f"replace({field}, {_character(REPETITION)}, chr(10))")
        if self.all:
            shown = f"list_transform({repetitions}, lambda repetition: {_as_written('repetition')})"
            return f"case when {field} is not null then cast(to_json({shown}) as varchar) end"
        text = f"split_part({field}, {_character(REPETITION)}, 1)"
        if self.of:
            found = f"split_part(repetition, {_character(COMPONENT)}, {self.of}) = {literal(self.value)}"
            text = f"list_filter({repetitions}, lambda repetition: {found})[1]"
        if self.component:
            text = f"split_part({text}, {_character(COMPONENT)}, {self.component})"
        if self.sub:
            return f"split_part({text}, {_character(SUBCOMPONENT)}, {self.sub})"
        return _as_written(text, within_component=bool(self.component))


def places(where: str, column: Column) -> list[Place]:
    """The places of a column, of which the first that has a value counts.

    Raises:
        ContractError: `source_name` says no place.
    """
    found = []
    for part in column.at_source.split(" | "):
        asked = _ASKED.fullmatch(part)
        place = _PLACE.fullmatch(asked["place"]) if asked else None
        if not asked or not place:
            raise ContractError(
                f"{where}.{column.name}: source_name is '{part}', and says no place in a message such as OBX-3.1: see "
                "ingestion/readers/hl7v2/README.md"
            )
        numbers = {name: int(place[name] or 0) for name in ("field", "of", "component", "sub")}
        found.append(
            Place(
                place["segment"], function=asked["function"] or "", all=bool(place["all"]),
                value=place["value"] or "", **numbers,
            )
        )  # fmt: skip
    return found


def _as_written(text: str, *, within_component: bool = False) -> str:
    """A text with the separators within it as the standard recommends them."""
    whole = text if within_component else f"replace({text}, {_character(COMPONENT)}, '^')"
    return f"replace({whole}, {_character(SUBCOMPONENT)}, '&')"


def _character(character: str) -> str:
    return f"chr({ord(character)})"
