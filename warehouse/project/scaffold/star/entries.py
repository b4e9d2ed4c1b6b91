"""The YAML of a star: descriptions, contracts, tests, metrics, the report."""

from __future__ import annotations

from typing import Any

from warehouse.project.scaffold.privacy import published_privacy
from warehouse.project.scaffold.proposal import Column
from warehouse.project.scaffold.rendering import Flow, FlowList, a_test, from_docs, rendered
from warehouse.project.scaffold.star.choice import Dimension, Role, Star
from warehouse.project.scaffold.star.names import Measure, Names, measures_of, plain_columns

_NOT_NULL = [{"type": "not_null"}]
_TENANTS = Flow(access="tenant", tenant_key="source_key")


Entry = dict[str, Any]


def dimension_entry(names: Names, dimension: Dimension) -> Entry:
    """A dimension's description and contract."""
    entity, key = dimension.entity, dimension.natural_key
    said = _words(entity)
    return {
        "name": dimension.name,
        "description": rendered("dimension.md", entity=entity, said=said, table=f"{names.domain}.{dimension.name}"),
        "config": {"meta": _TENANTS},
        "data_tests": [a_test("history_is_sound", "consistency", key=f"{entity}_key")],
        "semantic_model": True,
        "columns": [
            _key_entry(f"{entity}_version_key", f"Key of this version of the {said}.", **_entity(names, entity)),
            _entry(f"{entity}_key", "uuid", f"Key of the {said}, the same in all versions.", constraints=_NOT_NULL),
            _source_key(),
            _entry(key.alias, key.data_type, key.description),
            *(_attribute_entry(column, names, entity) for column in dimension.columns),
            *_history_entries(),
        ],
    }


def touched_entry(names: Names) -> Entry:
    """The list of what is computed again."""
    columns, fact = names.star.touched, names.star.fact
    key = [column.alias for column in columns]
    return {
        "name": names.touched,
        "description": (
            f"What of `{fact}` may no longer hold, now that raw has loads which it has not seen: new versions of a "
            "record, of what it belongs to, and of what it refers to. Between builds it is empty. Key: "
            f"{', '.join(f'`{each}`' for each in key)}."
        ),
        "data_tests": [a_test("unique_combination", "consistency", columns=FlowList(key))],
        "columns": [{"name": column.alias, "description": column.description} for column in columns],
    }


def fact_entry(names: Names) -> Entry:
    """The fact's description, contract, tests and metrics."""
    star, event = names.star, names.star.event_name
    quantity, price = (column.alias for column in star.amount) if star.amount else ("", "")
    description = rendered(
        "fact.md", event=event, said=_words(event), key=[column.alias for column in star.lines.key],
        when=star.event.alias, holder=(star.parent if star.event_of_parent and star.parent else star.lines).found.name,
        parent=star.parent.found.name if star.parent else "", is_nullable=star.event.found.is_nullable,
        amount=star.amount_name if star.amount else "", quantity=quantity, price=price, event_date=star.event_date,
        table=f"{names.domain}.{star.fact}",
    )  # fmt: skip
    held = [a_test("version_holds_at", "consistency", **_held(role, names.star.event_at)) for role in star.roles]
    count = _metric(names, star.lines.name, "How many there are.", "count", "1")
    sums = [_metric(names, each.name, f"Sum of `{each.name}`.", "sum", each.name) for each in measures_of(star)]
    return {
        "name": star.fact,
        "description": description,
        "config": {"meta": Flow(**_TENANTS, calendar=FlowList([names.star.event_date]))},
        **({"data_tests": held} if held else {}),
        "semantic_model": True,
        "agg_time_dimension": names.star.event_date,
        "columns": [
            _key_entry(f"{event}_key", f"Key of the {_words(event)}.", **_entity(names, event)),
            _source_key(),
            *_role_entries(names),
            *(_attribute_entry(column, names, event) for column, _ in plain_columns(names)),
            _day_entry(
                names, f"Business day of `{names.star.event_at}`.", granularity="day", dimension=Flow(type="time")
            ),
            _entry(names.star.event_at, "timestamp", star.event.description, constraints=_NOT_NULL),
            *(_measure_entry(star, each) for each in measures_of(star)),
        ],
        "metrics": [count, *sums],
    }


def _metric(names: Names, what: str, description: str, how: str, expression: str) -> Entry:
    name = names.metrics[what]
    more = {"type": "simple", "agg": how, "expr": expression}
    return {"name": name, "label": _label(name), "description": description, **more}


def daily_entry(names: Names) -> Entry:
    """The description and contract of the fact's days."""
    star, key = names.star, [names.star.event_date, "source_key"]
    sums = [
        _entry(each.name, each.sum_type, f"Sum of `{each.name}`.", constraints=_NOT_NULL) for each in measures_of(star)
    ]
    return {
        "name": star.daily,
        "description": (
            f"One row for each day of `{star.fact}`.\n\nGrain and key: `{key[0]}`, `{key[1]}`.\n\n"
            f"```sql\nselect *\nfrom {names.domain}.{star.daily}\norder by {key[0]} desc\n```\n"
        ),
        "config": {"meta": _TENANTS},
        "data_tests": [a_test("unique_combination", "consistency", columns=FlowList(key))],
        "columns": [
            _day_entry(names, "{{ doc('business_date') }}"),
            _source_key(),
            _entry(f"{star.event_name}_count", "bigint", f"Rows of `{star.fact}`.", constraints=_NOT_NULL),
            *sums,
        ],
    }


def report(names: Names, owner: str) -> Entry:
    """The exposure of the domain's page."""
    metrics = [f"metric('{each}')" for each in names.metrics.values()]
    return {
        "name": f"{names.domain}_report",
        "label": _label(names.domain),
        "type": "dashboard",
        "url": f"{names.domain}.html",
        "description": f"{_label(names.star.lines.name)} by month.",
        "owner": Flow(name=owner, email="data@example.com"),
        "depends_on": [f"ref('{names.star.fact}')", *metrics],
    }


def saved_queries(names: Names) -> list[Entry]:
    """All metrics by month, and by day."""
    return [
        {
            "name": names.query(grain),
            "label": f"{_label(names.star.lines.name)} by {grain}",
            "description": f"All metrics of `{names.star.fact}`, {grain} by {grain}.",
            "query_params": {
                "metrics": FlowList(names.metrics.values()),
                "group_by": FlowList([f"TimeDimension('metric_time', '{grain}')"]),
                "order_by": FlowList([f"TimeDimension('metric_time', '{grain}')"]),
            },
        }
        for grain in ("month", "day")
    ]


def _entry(name: str, kind: str, description: str, **more: Any) -> Entry:
    return {"name": name, "data_type": kind, "description": description, **more}


def _day_entry(names: Names, description: str, **more: Any) -> Entry:
    test = a_test("relationships", "consistency", to="ref('dim_dates')", field="date_day")
    return _entry(names.star.event_date, "date", description, **more, constraints=_NOT_NULL, data_tests=[test])


def _entity(names: Names, thing: str, kind: str = "primary") -> Entry:
    """What the semantic layer joins by."""
    return {"entity": Flow(type=kind, name=names.entities[thing])}


def _role_entries(names: Names) -> list[Entry]:
    """The keys of the dimensions. The semantic layer joins each by the first of its roles."""
    found: list[Entry] = []
    seen: set[str] = set()
    for role in names.star.roles:
        entity, target = role.dimension.entity, role.dimension.name
        joined = {} if entity in seen else _entity(names, entity, "foreign")
        seen.add(entity)
        whose = f"the {_words(entity)} that `{role.column.alias}` names"
        found += [
            _key_entry(f"{role.name}_key", f"Key of {whose}.", target, f"{entity}_key"),
            _key_entry(f"{role.name}_version_key", f"Version of {whose} that held when it happened.", target,
                       f"{entity}_version_key", **joined),
        ]  # fmt: skip
    return found


def _key_entry(name: str, description: str, target: str = "", field: str = "", **more: Any) -> Entry:
    """A key's entry: unique where it is the table's own, else one of another table's."""
    test = a_test("unique", "consistency")
    if target:
        test = a_test("relationships", "consistency", to=f"ref('{target}')", field=field)
    return _entry(name, "uuid", description, **more, constraints=_NOT_NULL, data_tests=[test])


def _source_key() -> Entry:
    return _key_entry("source_key", "{{ doc('source_key') }}", "dim_sources", "source_key")


def _attribute_entry(column: Column, names: Names | None = None, thing: str = "") -> Entry:
    """A column that is shown; with names, one that metrics are grouped by, as what a `thing` has."""
    more: Entry = {}
    if names and column.data_type in ("text", "boolean") and not column.is_person:
        # What the semantic layer has another thing for, such as a country, is called by whose it is.
        named = {"name": f"{thing}_{column.alias}"} if column.alias in names.words else {}
        more["dimension"] = Flow(type="categorical", **named)
    if column.privacy != "none":
        more["config"] = {"meta": Flow(privacy=published_privacy(column.privacy))}
    return _entry(column.alias, column.data_type, column.description, **more)


def _history_entries() -> list[Entry]:
    names = ("valid_from", "valid_to", "is_current", "is_deleted", "is_inferred")
    return [
        {**each, "data_type": "timestamp" if each["name"].startswith("valid") else "boolean", "constraints": _NOT_NULL}
        for each in from_docs(names)
    ]


def _held(role: Role, event_at: str) -> Entry:
    """What the test of a role's versions is told; `entity` only where the role isn't called as it."""
    entity = role.dimension.entity
    told = {"dimension": f"ref('{role.dimension.name}')", "key": f"{role.name}_key",
            "version_key": f"{role.name}_version_key", "event_at": event_at}  # fmt: skip
    return told if role.name == entity else {**told, "entity": entity}


def _words(name: str) -> str:
    return name.replace("_", " ")


def _label(name: str) -> str:
    return _words(name).capitalize()


def _measure_entry(star: Star, measure: Measure) -> Entry:
    column = next((each for each in star.measures if each.alias == measure.name), None)
    if column:
        return _attribute_entry(column)
    return _entry(measure.name, measure.data_type, "The quantity at its price, in the source's own currency.")
