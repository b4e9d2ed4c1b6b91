"""What is published, in the words of the models: each mart with its grain and its columns' descriptions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from api.kinds import Kind
from ingestion.destination.target import Target
from warehouse.database import NEXT
from warehouse.publish.access import Declared, declared_access


@dataclass(frozen=True)
class Described:
    """A published model, as its YAML has it. `columns`: their descriptions, by name."""

    schema: str
    name: str
    description: str
    columns: dict[str, str]

    @property
    def grain(self) -> str:
        """What one row is: the first sentence of the description."""
        return self.description.partition(". ")[0].strip().rstrip(".") + "."


@dataclass(frozen=True)
class Mart:
    """A mart as one caller may read it: the columns that are there for them, with their types."""

    schema: str
    name: str
    columns: dict[str, Kind]
    described: Described = field(repr=False)

    @property
    def full_name(self) -> str:
        """`schema.name`."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class Catalogue:
    """Every published model, by its full name, and who reads it."""

    marts: dict[tuple[str, str], Described]
    declared: list[Declared]


def catalogue_of(manifest: Any, target: Target) -> Catalogue:
    """Read the catalogue off dbt's manifest.

    Raises:
        BuildError: a published model doesn't say who reads it.
    """
    marts = {}
    for node in manifest.nodes.values():
        if node.resource_type != "model" or not (node.config.meta or {}).get("published"):
            continue
        schema = str(node.schema).removeprefix(target.prefix).removesuffix(NEXT)
        columns = {name: " ".join(column.description.split()) for name, column in node.columns.items()}
        marts[schema, str(node.name)] = Described(schema, node.name, " ".join(node.description.split()), columns)
    return Catalogue(marts, declared_access(manifest, target))


def marts_of(catalogue: Catalogue, there: list[tuple[str, str, str, Kind]]) -> dict[tuple[str, str], Mart]:
    """The marts of a caller.

    Args:
        catalogue: what is declared.
        there: schema, table, column and type of each column that the caller may read, in the tables' order.
    """
    columns: dict[tuple[str, str], dict[str, Kind]] = {}
    for schema, name, column, kind in there:
        columns.setdefault((schema, name), {})[column] = kind
    return {
        key: Mart(*key, columns[key], described) for key, described in sorted(catalogue.marts.items()) if key in columns
    }
