"""The files of a star: dimensions, the fact, its days, metrics, a report, and the test of its totals."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from warehouse.project.scaffold.rendering import dumped, rendered
from warehouse.project.scaffold.star import entries, sql
from warehouse.project.scaffold.star.choice import Star
from warehouse.project.scaffold.star.names import Names, measures_of


def star_files(source: str, domain: str, star: Star, owner: str, taken: Collection[str]) -> dict[Path, str]:
    """The text of each file of a star, by its place in the project.

    Args:
        source: the source that it is made from.
        domain: the domain that it belongs to.
        star: what was chosen.
        owner: who is asked about the report.
        taken: names that the project's metrics, saved queries and entities have.
    """
    wanted = [star.lines.name, *(measure.name for measure in measures_of(star))]
    things = [star.event_name, *(dimension.entity for dimension in star.dimensions)]
    metrics, entities = (
        {name: name if name not in taken else f"{source}_{name}" for name in each} for each in (wanted, things)
    )
    words = frozenset({*taken, *metrics.values(), *entities.values()})
    names = Names(source, domain, star, metrics, entities, words)
    marts, between = Path("models/marts", domain), Path("models/intermediate", domain)
    values = sql.star_values(names)
    texts = {}
    for dimension in star.dimensions:
        texts[marts / f"{dimension.name}.sql"] = sql.dimension_sql(names, dimension)
        texts[marts / f"{dimension.name}.yml"] = dumped({"models": [entries.dimension_entry(names, dimension)]})
    texts[between / f"{names.touched}.sql"] = rendered("touched.sql", **values)
    texts[between / f"{names.touched}.yml"] = dumped({"models": [entries.touched_entry(names)]})
    texts[marts / f"{star.fact}.sql"] = rendered("fact.sql", **values)
    texts[marts / f"{star.fact}.yml"] = dumped({"models": [entries.fact_entry(names)]})
    texts[marts / f"{star.daily}.sql"] = rendered("daily.sql", **values)
    texts[marts / f"{star.daily}.yml"] = dumped({"models": [entries.daily_entry(names)]})
    totals = Path("tests/data", domain, f"{_totals(star)}.sql")
    texts[totals] = rendered("totals.sql", **values)
    texts[marts / f"_{domain}__exposures.yml"] = dumped({"exposures": [entries.report(names, owner)]})
    texts[marts / f"_{star.lines.name}__metrics.yml"] = dumped({"saved_queries": entries.saved_queries(names)})
    texts[Path("reports", domain, "site.py")] = rendered("report.py", names=names)
    return texts


def catalogue(domain: str, star: Star, before: str) -> str:
    """The domain's part of the catalogue of tests, with the star's.

    Args:
        domain: the domain.
        star: what was chosen.
        before: the text that is there; empty where there is none.
    """
    row = (
        f"| What the source holds now is in `{star.fact}` once, day by day. | `{_totals(star)}` | completeness | error "
        "| whoever changed the model |\n"
    )
    if f"`{_totals(star)}`" in before:
        return before
    return (before or rendered("rules.md", title=domain.replace("_", " ").capitalize())).rstrip("\n") + f"\n{row}"


def _totals(star: Star) -> str:
    """The test of what the source holds now."""
    return f"{star.lines.name}__every_record_is_there_once"
