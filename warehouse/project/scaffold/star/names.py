"""What the parts of a star are called, and which columns its fact has."""

from __future__ import annotations

from dataclasses import dataclass

from warehouse.project.scaffold.proposal import Column
from warehouse.project.scaffold.star.choice import Star


@dataclass(frozen=True)
class Names:
    """What a star's parts are called.

    metrics: by what they count or add up, the count first, under the table's name.
    entities: of the semantic layer, by what a row is.
    words: all that the semantic layer calls a metric or an entity, these among them.
    """

    source: str
    domain: str
    star: Star
    metrics: dict[str, str]
    entities: dict[str, str]
    words: frozenset[str]

    @property
    def touched(self) -> str:
        """The list of what is computed again."""
        return f"int_{self.star.fact.removeprefix('fct_')}__touched"

    def query(self, grain: str) -> str:
        """The saved query of all metrics."""
        return f"{self.metrics[self.star.lines.name]}_by_{grain}"


@dataclass(frozen=True)
class Measure:
    """What adds up. `expression`: SQL, in which `{row}` stands for the relation that has its columns."""

    name: str
    data_type: str
    expression: str

    def of(self, row: str) -> str:
        """The SQL of it, of the rows of this relation."""
        return cast(self.expression.replace("{row}", row), self.data_type)

    @property
    def sum_type(self) -> str:
        """The type of its sum: a decimal has room for as many rows as there may be."""
        return self.data_type if self.data_type == "bigint" else f"numeric(38,{scale_of(self.data_type)})"


def measures_of(star: Star) -> list[Measure]:
    """The columns that add up, and what a quantity at its price comes to."""
    found = [Measure(column.alias, column.data_type, f"{{row}}.{column.alias}") for column in star.measures]
    if star.amount:
        quantity, price = star.amount
        product = f"product('{{row}}.{price.alias}', '{{row}}.{quantity.alias}', {scale_of(price.data_type)})"
        found.append(Measure(star.amount_name, "numeric(28,4)", f"round({{{{ {product} }}}}, 4)"))
    return found


def plain_columns(names: Names) -> list[tuple[Column, bool]]:
    """What the fact shows as it is, and whether the parent has it: keys, and what it is grouped by.

    When it happened stands there anyway, be it a part of the key.
    """
    star, times = names.star, (names.star.event_at, names.star.event_date)
    own = [(column, False) for column in (*star.lines.key, *([star.link] if star.link else ()))]
    found = {column.alias: (column, of_parent) for column, of_parent in (*own, *star.attributes)}
    return [each for alias, each in found.items() if alias not in times]


def scale_of(kind: str) -> int:
    """The digits after the decimal point of a type of a contract's."""
    return int(kind.rpartition(",")[2].rstrip(")")) if "," in kind else 0


def cast(expression: str, kind: str) -> str:
    """The expression in a type of a contract's."""
    return f"cast({expression} as {kind.replace(',', ', ')})"


def typed(name: str, column: Column) -> str:
    """A column of a mart as its contract has it: numbers say their scale."""
    return f"{cast(name, column.data_type)} as {column.alias}" if column.data_type.startswith("numeric") else name
