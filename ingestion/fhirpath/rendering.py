"""Emitted SQL made DuckDB's, for ingestion: by the very macros by which dbt makes it, without dbt."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import jinja2

from ingestion.fhirpath.emitted import Sql
from ingestion.project import PROJECT_ROOT

# The macro files that emitted SQL calls; none of their macros needs more of dbt than `adapter.dispatch` and `return`.
MACROS = ("fhir_json.sql", "fhirpath.sql")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    macros: dict[str, Any] = {}

    def dispatch(name: str, _package: str) -> Callable[..., str]:
        found: Callable[..., str] = macros.get(f"duckdb__{name}") or macros[f"default__{name}"]
        return found

    environment.globals |= {"adapter": SimpleNamespace(dispatch=dispatch), "return": lambda made: made}
    for file in MACROS:
        text = (PROJECT_ROOT / "macros/portable" / file).read_text(encoding="utf-8")
        module = environment.from_string(text).make_module()
        macros |= {name: macro for name, macro in vars(module).items() if not name.startswith("_")}
    environment.globals |= macros
    return environment


def for_duckdb(emitted: Sql) -> str:
    """The SQL that DuckDB runs."""
    return _environment().from_string(emitted.template()).render()
