"""What there is, as a caller sees it: the catalogue, and the same as OpenAPI, from contracts, descriptions, grains."""

from __future__ import annotations

from typing import Any

from api.catalogue import Mart
from api.kinds import Kind
from api.measures import MOST, OPERATORS, Measure
from api.questions import FORMATS, LARGEST_PAGE, PAGE_SIZE
from api.reading import Caller
from api.settings import Settings

_PROBLEM = {
    "type": "object",
    "required": ["title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened, and what to do next."},
    },
}
_REFUSALS = {
    "400": "The question is not understood.",
    "401": "No key, or none that is good.",
    "404": "There is no such mart that this key may read.",
    "405": "Only GET is answered.",
    "410": "The page is not kept any more: begin again with the first.",
    "413": "There are more rows than pages are kept of.",
    "429": "The key asks too often; Retry-After says when to try again.",
    "503": "It can't be answered now; Retry-After says when to try again.",
}
_OPERATORS = {
    "eq": "equal", "ne": "not equal", "in": "equal to one of these; say it again for each", "gt": "greater",
    "gte": "greater or equal", "lt": "less", "lte": "less or equal", "null": "whether there is no value",
    "starts": "begins with", "contains": "has in it",
}  # fmt: skip


def catalog_of(caller: Caller, marts: dict[tuple[str, str], Mart], measures: list[Measure]) -> dict[str, Any]:
    """The marts and metrics that a caller may ask."""
    return {
        "generation": caller.generation,
        "published_at": caller.published_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "login": caller.login,
        "marts": [
            {
                "name": mart.full_name,
                "path": f"/marts/{mart.schema}/{mart.name}",
                "grain": mart.described.grain,
                "description": mart.described.description,
                "columns": [
                    {"name": name, "type": kind.written, "description": mart.described.columns.get(name, ""),
                     "operators": list(kind.operators)}
                    for name, kind in mart.columns.items()
                ],
            }
            for mart in marts.values()
        ],
        "metrics": [
            {"name": each.name, "description": each.description, "unit": each.unit,
             "group_by": sorted({*each.dimensions.values()})}
            for each in measures
        ],
    }  # fmt: skip


def openapi_of(
    marts: dict[tuple[str, str], Mart], measures: list[Measure], settings: Settings, prefix: str = ""
) -> dict[str, Any]:
    """The API as OpenAPI 3.1, with a typed path for each mart that a caller may read; `prefix`: as it is served."""
    paths: dict[str, Any] = {
        "/health": {"get": {
            "summary": "Whether the API runs", "operationId": "health", "security": [],
            "responses": {"200": _json("It runs.", {"type": "object", "properties": {"status": {"const": "ok"}}})},
        }},
        "/catalog": {"get": {
            "summary": "The marts and metrics that this key may ask", "operationId": "catalog",
            "responses": {"200": _json("What there is.", _CATALOG), "304": _NOT_MODIFIED,
                          **_refusals("401", "429", "503")},
        }},
    }  # fmt: skip
    for mart in marts.values():
        paths[f"/marts/{mart.schema}/{mart.name}"] = {"get": _mart_operation(mart, settings)}
    if measures:
        paths["/metrics-query"] = {"get": _metrics_operation(measures)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Granary",
            "version": "1",
            "description": "The published marts, each answer of one generation.",
        },
        "servers": [{"url": prefix or "/"}],
        "paths": paths,
        "security": [{"key": []}],
        "components": {
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "What `make api-key` printed."}
            },
            "schemas": {
                "Problem": _PROBLEM,
                **{f"{mart.schema}.{mart.name}": _row(mart) for mart in marts.values()},
            },
        },
    }


def _mart_operation(mart: Mart, settings: Settings) -> dict[str, Any]:
    row = {"$ref": f"#/components/schemas/{mart.full_name}"}
    names = list(mart.columns)
    parameters = [
        _parameter("select", "Which columns, with commas between them; all unless given.",
                   _listed(names), explode=False),
        _parameter("sort", "By which columns; `-` before one descends.",
                   _listed([*names, *(f"-{name}" for name in names)]), explode=False),
        _parameter("limit", "Rows at most, in one answer without pages.",
                   {"type": "integer", "minimum": 1, "maximum": settings.rows}),
        _parameter("page_size", f"Rows of a page. JSON comes in pages of {PAGE_SIZE} unless `limit` is given.",
                   {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE}),
        _parameter("format", "Instead of the header Accept.", {"enum": list(FORMATS)}),
        _parameter("as_is", "CSV: leave texts that spreadsheets take for formulas.", {"enum": ["true", "false"]}),
        *(_filter(name, operator, kind, mart.described.columns.get(name, ""))
          for name, kind in mart.columns.items() for operator in kind.operators),
    ]  # fmt: skip
    answer = {
        "type": "object",
        "required": ["generation", "published_at", "next", "rows"],
        "properties": {
            "generation": {"type": "integer"},
            "published_at": {"type": ["string", "null"], "format": "date-time"},
            "next": {
                "type": ["string", "null"],
                "description": "The address of the next page, of the same generation.",
            },
            "rows": {"type": "array", "items": row},
        },
    }
    content: dict[str, Any] = {FORMATS["json"]: {"schema": answer}}
    content[FORMATS["ndjson"]] = content["text/csv"] = {"schema": {"type": "string"}}
    for name in ("arrow", "parquet"):
        content[FORMATS[name]] = {}
    return {
        "summary": mart.described.grain,
        "description": mart.described.description,
        "operationId": f"{mart.schema}_{mart.name}",
        "tags": [mart.schema],
        "parameters": parameters,
        "responses": {
            "200": {"description": "Rows.", "content": content, "headers": _HEADERS},
            "304": _NOT_MODIFIED,
            **_refusals(*_REFUSALS),
        },
    }


def _metrics_operation(measures: list[Measure]) -> dict[str, Any]:
    own = sorted({name for each in measures for name in each.dimensions.values()})
    answer = {
        "type": "object",
        "required": ["generation", "rows"],
        "properties": {
            "generation": {"type": "integer"},
            "rows": {"type": "array", "items": {"type": "object"}},
        },
    }
    day = {"type": "string", "format": "date"}
    return {
        "summary": "Metrics by dimensions",
        "description": "; ".join(f"{each.name}: {each.description}" for each in measures),
        "operationId": "metrics",
        "parameters": [
            {**_parameter("metrics", "Which, with commas between them.",
                          _listed([each.name for each in measures]), explode=False), "required": True},
            _parameter("group_by", "By day, week, month, quarter, year, or dimensions.", _words(), explode=False),
            _parameter("order_by", "What the answer has; `-` before it descends.", _words(), explode=False),
            _parameter("limit", "Rows at most.", {"type": "integer", "minimum": 1, "maximum": MOST}),
            _parameter("start", "The first day.", day),
            _parameter("end", "The last day.", day),
            *(_parameter(f"{name}.{operator}", f"A condition on {name}.",
                         {"type": "array", "items": {"type": "string"}} if operator == "in" else {"type": "string"})
              for name in own if name != "metric_time" for operator in OPERATORS),
        ],
        "responses": {"200": _json("Rows.", answer), "304": _NOT_MODIFIED,
                      **_refusals("400", "401", "405", "429", "503")},
    }  # fmt: skip


def _row(mart: Mart) -> dict[str, Any]:
    return {
        "type": "object",
        "description": mart.described.grain,
        "additionalProperties": False,
        "properties": {
            name: _nullable(kind) | {"description": mart.described.columns.get(name, "")}
            for name, kind in mart.columns.items()
        },
    }


def _nullable(kind: Kind) -> dict[str, Any]:
    schema = kind.json_schema
    return {**schema, "type": [schema["type"], "null"]}


def _filter(name: str, operator: str, kind: Kind, description: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"enum": ["true", "false"]} if operator == "null" else kind.json_schema
    if operator == "in":
        schema = {"type": "array", "items": schema, "minItems": 1}
    return _parameter(f"{name}.{operator}", f"{_OPERATORS[operator].capitalize()}. {description}".strip(), schema)


def _parameter(name: str, description: str, schema: dict[str, Any], explode: bool = True) -> dict[str, Any]:
    more = {} if explode else {"style": "form", "explode": False}
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema, **more}


def _listed(names: list[str]) -> dict[str, Any]:
    return {"type": "array", "items": {"enum": names}, "minItems": 1, "uniqueItems": True}


def _words() -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string"}}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _refusals(*statuses: str) -> dict[str, Any]:
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _REFUSALS[status], "content": problem} for status in statuses}


_NOT_MODIFIED = {"description": "Nothing was published since: what the caller has is what there is."}
_HEADERS = {
    "ETag": {"schema": {"type": "string"}, "description": "Of the generation, question and key."},
    "Granary-Generation": {"schema": {"type": "integer"}, "description": "Of which generation the rows are."},
    "Link": {"schema": {"type": "string"}, "description": 'The next page, as rel="next".'},
}
_CATALOG = {
    "type": "object",
    "required": ["generation", "published_at", "marts", "metrics"],
    "properties": {
        "generation": {"type": "integer"},
        "published_at": {"type": "string", "format": "date-time"},
        "login": {"type": "string"},
        "marts": {"type": "array", "items": {"type": "object", "required": ["name", "path", "grain", "columns"]}},
        "metrics": {"type": "array", "items": {"type": "object", "required": ["name", "group_by"]}},
    },
}
