"""A staging model of a ViewDefinition, as dbt has it, and its entry in the folder's YAML.

A date or time becomes four columns, a decimal two; the log's columns stand at the end. The first line says what the
model is made from: it is not edited but compiled anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ingestion.contract.contracts import Source
from ingestion.fhirpath.compiling import Scope
from ingestion.fhirpath.definitions import View
from ingestion.fhirpath.emitted import Call, Name, Sql, call
from ingestion.fhirpath.nodes import FhirPathError
from ingestion.fhirpath.views import Branch, Compiled, Output, Stage, compile_view
from warehouse.project.fhir_views.tables import resources

# What the log says of each version, as every staging model has it.
LOG = (
    ("_operation = 'D'", "is_deleted"), ("_effective_at", "valid_at"), ("_revision", "source_revision"),
    ("_observed_at", "observed_at"), ("_load_id", "load_id"),
)  # fmt: skip

# From so many paths of one JSON text on, they are read as one list.
_LISTED = 3

_WIDTH = 116

_TIMES = frozenset({"date", "dateTime", "instant"})


@dataclass(frozen=True)
class Model:
    """A staging model: its text, the columns with what they mean, and those that identify a row."""

    name: str
    text: str
    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]


def staging_model(view: View, source: Source, name: str) -> Model:
    """The model `name` of a view over a source's table.

    Raises:
        FhirPathError: where the view can't be compiled, with where in its file.
    """
    table = resources(source, view.resource)
    scope = Scope(table.elements, columns=table.expressions)
    made = compile_view(view, table.elements, "source", scope, keeps_text=True)
    outputs = made.branches[0].outputs
    paths = _Paths(made)
    selects = "\n    union all\n".join(_renamed(branch, paths) for branch in made.branches)
    columns = [column for output in outputs for column in _columns(output)]
    ctes = [
        *(_cte(stage) for stage in _from_source(made, source.name, table.table)),
        f"renamed as (\n{selects}\n)",
    ]
    last = "renamed"
    if any(definition for _, definition, _ in columns):
        last = "cleansed"
        moments = [output.column.name for output in outputs if _is_moment(output) and not _is_timestamp(output)]
        texts = "renamed"
        if moments:
            texts = "judged"
            judged = ["*", *(f"{{{{ fhir_precision('{name}_text') }}}} as {name}_precision" for name in moments)]
            ctes.append("judged as (\n" + _select(judged, "renamed") + "\n)")
        listed = [f"{definition} as {alias}" if definition else alias for alias, definition, _ in columns]
        ctes.append("cleansed as (\n" + _select([*listed, *(alias for _, alias in LOG)], texts) + "\n)")
    recursive = " recursive" if any(stage.is_recursive for stage in made.stages) else ""
    header = f"{{# Made from views/{name.partition('__')[2]}.json by `make fhir-view`: change that. #}}\n"
    text = f"{header}{paths.set_above()}with{recursive} " + ",\n\n".join(ctes) + f"\n\nselect * from {last}\n"
    return Model(name, text, tuple((alias, meaning) for alias, _, meaning in columns), _key(made, outputs))


def _from_source(made: Compiled, source: str, table: str) -> Iterator[Stage]:
    read = "select * from " + call("source", source, table) + "\n    where " + call("from_completed_load")
    yield Stage("source", read)
    yield from made.stages


def _cte(stage: Stage) -> str:
    materialized = "materialized " if stage.is_materialized else ""
    lines = "\n".join(_wrapped(line, "    ") for line in stage.sql.template().split("\n"))
    return f"{stage.name} as {materialized}(\n    {lines}\n)"


def _select(columns: list[str], relation: str) -> str:
    listed = ",\n        ".join(_wrapped(column, "        ") for column in columns)
    return f"    select\n        {listed}\n    from {relation}"


def _renamed(branch: Branch, paths: _Paths) -> str:
    """One select of the view's columns, under the names that they have as text."""
    listed = [_aliased(paths.listed(output.sql).template(), _textual(output)) for output in branch.outputs] + [
        _aliased(definition, alias) for definition, alias in LOG
    ]
    return _select(listed, branch.relation)


# A text within quotes, braces of Jinja's around, or where a long line may be broken.
_PIECES = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|, | ~ | (?=(?:or|and) )|\{\{ | \}\}""")


def _wrapped(line: str, indent: str) -> str:
    """A line that is too long on several, broken between arguments and conditions and never within a text."""
    pieces, at = [""], 0
    for found in _PIECES.finditer(line):
        pieces[-1] += line[at : found.end()]
        if found[0][0] not in "'\"" and found[0] != " }}":
            pieces.append("")
        at = found.end()
    pieces[-1] += line[at:]
    lines = [pieces[0]]
    for piece in pieces[1:]:
        if len(indent) + 4 + len(lines[-1]) + len(piece.rstrip()) > _WIDTH:
            lines.append("")
        lines[-1] += piece
    return f"\n{indent}    ".join(each.rstrip() for each in lines)


def _aliased(definition: str, alias: str) -> str:
    return alias if definition == alias else f"{definition} as {alias}"


def _is_moment(output: Output) -> bool:
    return output.type in _TIMES and not output.column.collection


def _is_timestamp(output: Output) -> bool:
    """Whether raw has the time as a timestamp already."""
    return output.source_type == "timestamp"


def _textual(output: Output) -> str:
    """What a column is called in the select of texts."""
    name = output.column.name
    if _is_timestamp(output):
        return f"{name}_at"
    return f"{name}_text" if _is_moment(output) or output.is_written else name


def _columns(output: Output) -> Iterator[tuple[str, str, str]]:
    """The columns that a view's column becomes: the name, how it is made of the text, and what it means."""
    name, meaning = output.column.name, output.column.description or f"`{output.column.path}`."
    text = f"{name}_text"
    if _is_timestamp(output):
        yield f"{name}_at", "", f"{meaning} UTC."
    elif _is_moment(output):
        yield text, "", f"{meaning} As it is written."
        arguments = f"'{text}', '{name}_precision'"
        yield f"{name}_at", f"{{{{ fhir_at({arguments}) }}}}", f"{meaning} UTC."
        yield f"{name}_date", f"{{{{ fhir_date({arguments}) }}}}", f"{meaning} The local date, as written."
        yield f"{name}_precision", "", f"{meaning} How precisely it is known."
    elif output.is_written:
        yield text, f"{{{{ fhir_number_text('{text}') }}}}", f"{meaning} Its digits, without zeros at the end."
        yield name, f"{{{{ fhir_decimal('{text}') }}}}", f"{meaning} Rounded to 8 decimal places."
    else:
        yield name, "", meaning


def _key(made: Compiled, outputs: tuple[Output, ...]) -> tuple[str, ...]:
    """What identifies a row: the resource's id, and the position in each list that is walked.

    Raises:
        FhirPathError: where the view doesn't select them.
    """
    named = {output.column.path: output.column.name for output in outputs}
    key = named.get("id") or named.get("getResourceKey()")
    if not key:
        raise FhirPathError(
            "select: the view has no column of the resource's id; add one with the path getResourceKey()"
        )
    every = [output.column for branch in made.branches for output in branch.outputs]
    positions = list(dict.fromkeys(column.name for column in every if column.path == "%rowIndex"))
    walked = max(len(branch.positions) for branch in made.branches)
    if len(positions) < walked:
        raise FhirPathError(
            f"select: the view walks {walked} lists and has {len(positions)} columns with the path %rowIndex; add one "
            "to each forEach, so that rows can be told apart"
        )
    return (key, *positions)


class _Paths:
    """The paths of a JSON text of which several are read, as lists that the model names above its select."""

    def __init__(self, made: Compiled) -> None:
        places: dict[Sql, list[tuple[str | int, ...]]] = {}
        for root, path in (found for branch in made.branches for each in branch.outputs for found in _places(each.sql)):
            if path not in places.setdefault(root, []):
                places[root].append(path)
        self.places = {root: tuple(found) for root, found in places.items() if len(found) >= _LISTED}

    def listed(self, made: Sql) -> Sql:
        """SQL in which a place that is one of several of its text is read with the others."""
        return Sql(tuple(self._part(part) for part in made.parts))

    def _part(self, part: str | Call) -> str | Call:
        if isinstance(part, str):
            return part
        root, path = (*part.arguments, None, None)[:2]
        if part.macro in _PLACES and isinstance(root, Sql) and isinstance(path, tuple) and root in self.places:
            number = self.places[root].index(path) + 1
            return Call(_PLACES[part.macro], (root, Name(_list_name(root)), number))
        arguments = (self.listed(each) if isinstance(each, Sql) else each for each in part.arguments)
        return replace(part, arguments=tuple(arguments))

    def set_above(self) -> str:
        """The lists, as the model's first lines set them."""
        return "".join(
            _wrapped(f"{{% set {_list_name(root)} = [{', '.join(str(list(path)) for path in paths)}] %}}", "") + "\n"
            for root, paths in self.places.items()
        )


def _list_name(root: Sql) -> str:
    return f"{root.parts[0]}_paths"


_PLACES = {"json_place_text": "json_places_text", "json_value_text": "json_values_text"}


def _places(made: Sql) -> Iterator[tuple[Sql, tuple[str | int, ...]]]:
    """Each place of JSON that SQL reads as one text."""
    for part in made.parts:
        if isinstance(part, Call):
            if part.macro in _PLACES:
                yield part.arguments[0], part.arguments[1]  # type: ignore[misc]
            for argument in part.arguments:
                if isinstance(argument, Sql):
                    yield from _places(argument)
