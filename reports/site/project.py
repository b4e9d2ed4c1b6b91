"""What the project says of itself, read from dbt's artifacts: tables, columns, tests, metrics, dashboards."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingestion.domains import listed
from ingestion.project import PROJECT_ROOT
from warehouse.results import sources_above

_MODEL = re.compile(r"(?:ref|source)\((?:'[^']*',\s*)?'([^']+)'\)")
_EXAMPLE = re.compile(r"```sql\n(.*?)```", re.DOTALL)
KINDS = {"fct": "fact", "dim": "dimension", "agg": "aggregate", "ops": "operations"}


@dataclass(frozen=True)
class Column:
    """A column as it is documented. `points_at` is the table that its relationships test names."""

    name: str
    data_type: str
    description: str
    privacy: str
    points_at: str = ""


@dataclass(frozen=True)
class Rule:
    """A test: what it is of, what a failure would mean, and the relation where it keeps the rows that failed."""

    name: str
    table: str
    column: str
    description: str
    dimension: str
    severity: str
    kept: str = ""


@dataclass
class Table:
    """A table that readers see."""

    name: str
    schema: str
    unique_id: str
    kind: str
    owner: str
    grain: str
    description: str
    example: str
    columns: list[Column]
    rules: list[Rule] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)
    dashboards: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)

    @property
    def full_name(self) -> str:
        """The name that readers use."""
        return f"{self.schema}.{self.name}"

    @property
    def url(self) -> str:
        """Its page."""
        return f"tables/{self.full_name}.html"


@dataclass(frozen=True)
class Metric:
    """A metric of the catalogue."""

    name: str
    label: str
    description: str
    kind: str
    tables: list[str]
    made_of: list[str]


@dataclass(frozen=True)
class Dashboard:
    """What reads the tables: a page of this site, or a dashboard elsewhere. `filters`: what readers choose by."""

    name: str
    label: str
    description: str
    url: str
    owner: str
    tables: list[str]
    metrics: list[str]
    filters: dict[str, str]


@dataclass
class Project:
    """Everything by name.

    filtered_at: the published aggregate that a saved query, which a page may filter, is no finer than.
    shared_columns: the names of columns that tell of no person, wherever they are declared.
    """

    tables: dict[str, Table]
    metrics: dict[str, Metric]
    dashboards: dict[str, Dashboard]
    rules: list[Rule]
    filtered_at: dict[str, Table]
    shared_columns: set[str]

    @property
    def domains(self) -> list[str]:
        """The schemas of the marts, the conformed dimensions last."""
        return sorted(
            {t.schema for t in self.tables.values()}, key=lambda s: ({"core": 1, "ops": 2, "runs": 3}.get(s, 0), s)
        )

    @property
    def first(self) -> Table:
        """What to open for somebody who has named nothing: the first domain's fact that most metrics are of.

        A domain without facts has its dimensions or aggregates opened; where no domain is on, `core` has.
        """
        schemas, kinds = self.domains, (*KINDS.values(), "table")
        place = lambda t: (schemas.index(t.schema), kinds.index(t.kind), -len(t.metrics), t.name)  # noqa: E731
        return min(self.tables.values(), key=place)

    def bus_matrix(self, domain: str) -> tuple[list[Table], dict[str, dict[str, list[str]]]]:
        """A domain's facts and the dimensions that they share.

        Returns:
            The dimensions, and for each fact the columns by which it points at each of them.
        """
        facts = [t for t in self.tables.values() if t.schema == domain and t.kind == "fact"]
        cells: dict[str, dict[str, list[str]]] = {}
        for fact in facts:
            for column in fact.columns:
                if column.points_at in self.tables and self.tables[column.points_at].kind == "dimension":
                    cells.setdefault(fact.name, {}).setdefault(column.points_at, []).append(column.name)
        used = {dimension for row in cells.values() for dimension in row}
        return sorted((self.tables[name] for name in used), key=lambda t: (t.schema != "core", t.name)), cells


def read_project(artifacts: Path, folder: Path = PROJECT_ROOT) -> Project:
    """Read `manifest.json` of a folder of dbt's artifacts, whose names are those that readers know.

    Args:
        artifacts: the folder.
        folder: the project's own, whose list of domains says whose a domain's tables are.
    """
    owners = {domain.name: domain.owner for domain in listed(folder)}
    manifest = json.loads((artifacts / "manifest.json").read_text(encoding="utf-8"))
    nodes = manifest["nodes"]
    tables = {
        node["name"]: _table(node, owners)
        for node in nodes.values()
        if node["resource_type"] == "model"
        and (node["config"].get("meta", {}).get("published") or node["fqn"][1:3] == ["ops", "runs"])
    }
    rules = _rules(nodes, manifest["unit_tests"], tables)
    metrics = _metrics(manifest, tables)
    dashboards = _dashboards(manifest, tables)
    for table in tables.values():
        table.sources = sorted(sources_above(table.unique_id, manifest["parent_map"]))
    filtered_at = {
        each["name"]: tables[each["config"]["meta"]["filtered_at"]]
        for each in manifest["saved_queries"].values()
        if "filtered_at" in each["config"]["meta"]
    }
    return Project(tables, metrics, dashboards, rules, filtered_at, _shared_columns(manifest))


def _table(node: dict[str, Any], owners: dict[str, str]) -> Table:
    text = node["description"].strip()
    example = _EXAMPLE.search(text)
    grain, _, rest = _EXAMPLE.sub("", text).strip().partition("\n\n")
    return Table(
        name=node["name"],
        schema=node["schema"],
        unique_id=node["unique_id"],
        kind=KINDS.get(node["name"].split("_")[0], "table"),
        owner=node["config"].get("meta", {}).get("owner") or owners.get(node["fqn"][2], ""),
        grain=" ".join(grain.split()),
        description=rest.strip(),
        example=example[1].strip() if example else "",
        columns=[
            Column(
                column["name"],
                column.get("data_type") or "",
                " ".join(column["description"].split()),
                _privacy(column),
            )
            for column in node["columns"].values()
        ],
    )


def _shared_columns(manifest: dict[str, Any]) -> set[str]:
    """Names that sources and published models declare, and nobody declares as anything of a person."""
    shared, personal = set(), set()
    for node in (*manifest["nodes"].values(), *manifest["sources"].values()):
        is_published = node["resource_type"] == "source" or node["config"].get("meta", {}).get("published")
        for column in node.get("columns", {}).values():
            if _privacy(column) not in ("", "none"):
                personal.add(column["name"])
            elif is_published:
                shared.add(column["name"])
    return shared - personal


def _privacy(column: dict[str, Any]) -> str:
    return str((column.get("meta") or column.get("config", {}).get("meta") or {}).get("privacy", ""))


def _rules(nodes: dict[str, Any], unit_tests: dict[str, Any], tables: dict[str, Table]) -> list[Rule]:
    rules = []
    for node in nodes.values():
        if node["resource_type"] != "test":
            continue
        attached = (node.get("attached_node") or next(iter(node["depends_on"]["nodes"]), "")).split(".")[-1]
        config = node["config"]
        rule = Rule(
            node["name"], attached, node.get("column_name") or "", " ".join(node.get("description", "").split()),
            config["meta"].get("quality_dimension", ""), config["severity"].lower(),
            ".".join(f'"{node[part]}"' for part in ("database", "schema", "alias")),
        )  # fmt: skip
        rules.append(rule)
        if attached in tables:
            tables[attached].rules.append(rule)
        metadata = node.get("test_metadata") or {}
        if metadata.get("name") == "relationships" and attached in tables:
            _point(tables[attached], rule.column, str(metadata["kwargs"].get("to", "")))
    for test in unit_tests.values():
        rule = Rule(
            test["name"], test["model"], "", " ".join((test.get("description") or "").split()),
            (test["config"].get("meta") or {}).get("quality_dimension", ""), "error",
        )  # fmt: skip
        rules.append(rule)
        if test["model"] in tables:
            tables[test["model"]].rules.append(rule)
    return sorted(rules, key=lambda rule: (rule.dimension, rule.table, rule.name))


def _point(table: Table, column: str, to: str) -> None:
    found = _MODEL.search(to)
    table.columns = [
        Column(each.name, each.data_type, each.description, each.privacy, found[1])
        if found and each.name == column else each
        for each in table.columns
    ]  # fmt: skip


def _metrics(manifest: dict[str, Any], tables: dict[str, Table]) -> dict[str, Metric]:
    metrics = {}
    for unique_id, metric in manifest["metrics"].items():
        models, inputs = set(), set()
        waiting = [unique_id]
        while waiting:
            node = manifest["metrics"][waiting.pop()]
            for each in node["depends_on"]["nodes"]:
                if each in manifest["metrics"]:
                    waiting.append(each)
                    inputs.add(each.split(".")[-1])
                else:
                    models |= set(manifest["semantic_models"].get(each, {}).get("depends_on", {}).get("nodes", [each]))
        named = sorted(each.split(".")[-1] for each in models if each.split(".")[-1] in tables)
        metrics[metric["name"]] = Metric(
            metric["name"], metric["label"] or metric["name"], " ".join(metric["description"].split()),
            metric["type"], named, sorted(inputs),
        )  # fmt: skip
        for name in named:
            tables[name].metrics.append(metric["name"])
    return dict(sorted(metrics.items()))


def _dashboards(manifest: dict[str, Any], tables: dict[str, Table]) -> dict[str, Dashboard]:
    found = {}
    for exposure in manifest["exposures"].values():
        names = [each.split(".") for each in exposure["depends_on"]["nodes"]]
        dashboard = Dashboard(
            exposure["name"], exposure["label"] or exposure["name"], " ".join(exposure["description"].split()),
            exposure["url"] or "", exposure["owner"].get("name") or "",
            sorted(parts[-1] for parts in names if parts[0] == "model"),
            sorted(parts[-1] for parts in names if parts[0] == "metric"),
            dict((exposure["config"].get("meta") or {}).get("filters") or {}),
        )  # fmt: skip
        found[dashboard.name] = dashboard
        for name in dashboard.tables:
            if name in tables:
                tables[name].dashboards.append(dashboard.name)
    return dict(sorted(found.items()))
