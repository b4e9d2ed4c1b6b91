"""The SQL of a star, from the templates."""

from __future__ import annotations

from typing import Any

from warehouse.project.scaffold.rendering import rendered
from warehouse.project.scaffold.star.choice import Dimension
from warehouse.project.scaffold.star.names import Names, cast, measures_of, plain_columns, typed


def dimension_sql(names: Names, dimension: Dimension) -> str:
    """A dimension's model."""
    roles = [role for role in names.star.roles if role.dimension.name == dimension.name]
    return rendered("dimension.sql", names=names, dimension=dimension, roles=roles, typed=typed)


def star_values(names: Names) -> dict[str, Any]:
    """What the templates of the fact, of what it is computed by and of what follows it are filled with."""
    star = names.star
    holder = "documents" if star.event_of_parent else "lines"
    event, is_day = f"{holder}.{star.event.alias}", star.event.data_type == "date"
    plain, measures = plain_columns(names), measures_of(star)
    measured = [column.alias for column in (*star.measures, *(star.amount or ()))]
    lines = [column.alias for column, of_parent in plain if not of_parent]
    return {
        "names": names,
        "star": star,
        "link": star.link.alias if star.link else "",
        "parent_id": star.parent.key[0].alias if star.parent else "",
        "line_key": [column.alias for column in star.lines.key],
        "touched": [column.alias for column in star.touched],
        "only_lines": _only_lines(names),
        "event": event,
        "event_at": f"{{{{ local_to_utc('{event}', var('business_timezone')) }}}}" if is_day else event,
        "event_date": event if is_day else f"{{{{ business_date('{event}') }}}}",
        "line_columns": list(dict.fromkeys([*lines, *measured])),
        "parent_columns": [column.alias for column, of_parent in plain if of_parent],
        "plain": [typed(f"keyed.{column.alias}", column) for column, _ in plain],
        "measures": measures,
        "cast": cast,
    }


def _only_lines(names: Names) -> str:
    """The condition by which the fact looks at the lines of what is touched alone, for latest_versions()."""
    star = names.star
    touched, key = ([column.alias for column in columns] for columns in (star.touched, star.lines.key))
    if not star.may_move:
        return f"among_touched({', '.join(repr(each) for each in touched)})"
    if len(key) > 1:
        return "none"
    return f"among_children_of_touched(ref('stg_{names.source}__{star.lines.name}'), '{key[0]}', '{touched[0]}')"
