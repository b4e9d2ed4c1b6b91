"""FHIRPath and SQL on FHIR, compiled to SQL of both engines."""

from __future__ import annotations

from functools import cache

from ingestion.fhirpath.compiling import Scope, compiled
from ingestion.fhirpath.emitted import sql
from ingestion.fhirpath.nodes import FhirPathError
from ingestion.fhirpath.rendering import for_duckdb
from ingestion.fhirpath.values import Place, text

__all__ = ["FhirPathError", "scalar"]


@cache
def scalar(expression: str, record: str, resource_type: str | None = None) -> str:
    """DuckDB's SQL for the one value of a FHIRPath expression, as text; null where it is empty.

    Args:
        expression: such as `subject.getReferenceKey(Patient)`, asked of a resource.
        record: SQL of the whole resource as JSON text.
        resource_type: the resource's type, where it is known: then elements that can't be lists are read by a path,
            which is several times as fast.

    Raises:
        FhirPathError: where the expression can't be compiled. More than one value is an error of DuckDB's at run time.
    """
    value = compiled(expression, Scope(Place(sql(record), (), resource_type or "Any")))
    return for_duckdb("nullif(" + text(value, expression) + ", '')")
