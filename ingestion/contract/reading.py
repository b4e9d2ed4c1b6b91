"""Contracts as their YAML says them, checked for what ingestion can't follow."""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from ingestion.contract.contracts import (
    AUDIT_TABLES,
    LONGEST_NAME,
    META_COLUMNS,
    PRIVACY,
    UNDECIDED,
    Column,
    ContractError,
    Source,
    Table,
    contract_file,
    is_data_type,
)
from ingestion.contract.formats import FORMATS
from ingestion.domains import source_ids, variables
from ingestion.project import PROJECT_ROOT, parsed_yaml

_NAME = re.compile(rf"^(?=.{{1,{LONGEST_NAME}}}$)[a-z_]([a-z0-9_]*[a-z0-9])?$")

# A field of a document: names with dots between.
_FIELD = re.compile(r"[^.\s]+(\.[^.\s]+)*")


def _calendar(project: Path) -> tuple[str, str] | None:
    """The days between which the project takes a record's dates for plausible; none where it doesn't say."""
    calendar = variables(project).get("calendar") or {}
    return (str(calendar["earliest"]), str(calendar["latest"])) if calendar else None


def _plausible(
    where: str, data_type: str, rules: dict[str, Any], calendar: tuple[str, str] | None
) -> tuple[str, str] | None:
    given = {name: str(rules[name]) for name in ("earliest", "latest") if name in rules}
    if data_type not in ("date", "timestamp"):
        if given:
            raise ContractError(f"{where}: {' and '.join(given)} bound dates and times, and data_type is {data_type}")
        return None
    first, last = calendar or ("", "")
    bounds = (given.get("earliest", first), given.get("latest", last))
    for day in filter(None, bounds):
        try:
            date.fromisoformat(day)
        except ValueError:
            raise ContractError(f"{where}: '{day}' is no day such as 1900-01-01") from None
    return bounds if all(bounds) else None


def _name(where: str, raw: dict[str, Any]) -> str:
    name = str(raw["name"])
    if not _NAME.match(name):
        raise ContractError(
            f"{where}: '{name}' is no name for raw, which has small letters, digits and _, {LONGEST_NAME} at most, and "
            f"no _ at the end: name it so, and give it config.meta.source_name: '{name}'"
        )
    return name


def _decimal_separator(where: str, data_type: str, rules: dict[str, Any], default: str) -> str:
    separator = str(rules.get("decimal_separator", default))
    if separator not in (".", ","):
        raise ContractError(f"{where}: decimal_separator is '{separator}': say '.' or ','")
    return separator if data_type.startswith(("numeric", "bigint")) else "."


def _column(where: str, raw: dict[str, Any], calendar: tuple[str, str] | None, separator: str) -> Column:
    meta = raw.get("config", {}).get("meta", {})
    data_type = str(raw.get("data_type", ""))
    if not is_data_type(data_type):
        raise ContractError(
            f"{where}.{raw['name']}: data_type '{data_type}' is not one of text, bigint, numeric(p,s), boolean, "
            "date, timestamp; give the column one of these in the sources YAML"
        )
    rules = meta.get("contract", {})
    unknown = set(rules) - {
        "required", "accepted_values", "format", "minimum", "largest", "timestamp_formats", "earliest", "latest",
        "decimal_separator",
    }  # fmt: skip
    if unknown:
        raise ContractError(f"{where}.{raw['name']}: unknown contract rule {', '.join(sorted(unknown))}")
    if rules.get("format") not in (None, *FORMATS):
        raise ContractError(f"{where}.{raw['name']}: format is '{rules['format']}': say one of {', '.join(FORMATS)}")
    privacy = str(meta.get("privacy", ""))
    if privacy not in (*PRIVACY, UNDECIDED):
        raise ContractError(
            f"{where}.{raw['name']}: config.meta.privacy is '{privacy}': say which it is of {', '.join(PRIVACY)}"
        )
    if privacy == "direct_identifier" and data_type != "text":
        raise ContractError(
            f"{where}.{raw['name']}: a direct identifier becomes a token, which is text, but data_type is {data_type}; "
            "make it text, or say quasi_identifier"
        )
    keeps = tuple(str(path) for path in meta.get("keeps", ()))
    if keeps and (data_type != "text" or not all(_FIELD.fullmatch(path) for path in keeps)):
        raise ContractError(
            f"{where}.{raw['name']}: config.meta.keeps names the fields of a document, which is text, by their paths, "
            f"such as other.reference: it says {list(keeps)}, and data_type is {data_type}"
        )
    return Column(
        name=_name(where, raw),
        data_type=data_type.replace(" ", ""),
        source_name=str(meta.get("source_name", "")),
        required=bool(rules.get("required", False)),
        accepted_values=tuple(str(value).lower() for value in rules.get("accepted_values", ())),
        format=rules.get("format"),
        minimum=rules.get("minimum"),
        largest=rules.get("largest"),
        plausible=_plausible(f"{where}.{raw['name']}", data_type, rules, calendar),
        timestamp_formats=tuple(rules.get("timestamp_formats", ())),
        decimal_separator=_decimal_separator(f"{where}.{raw['name']}", data_type, rules, separator),
        privacy=privacy,
        keeps=keeps,
        meta=meta,
    )


def _table(source: str, raw: dict[str, Any], calendar: tuple[str, str] | None, separator: str) -> Table:
    where = f"{source}.{raw['name']}"
    meta = raw.get("config", {}).get("meta", {})
    separator = str(meta.get("decimal_separator", separator))
    columns = tuple(
        _column(where, column, calendar, separator) for column in raw["columns"] if column["name"] not in META_COLUMNS
    )
    names = {column.name for column in columns}
    key = tuple(meta.get("key", ()))
    if not key or not set(key) <= names:
        raise ContractError(f"{where}: config.meta.key must name one or more of its columns, it says {list(key)}")
    if meta.get("modified_at") is not None and meta["modified_at"] not in names:
        raise ContractError(
            f"{where}: config.meta.modified_at names {meta['modified_at']}, which is none of its columns"
        )
    return Table(
        source=source,
        name=_name(source, raw),
        columns=columns,
        key=key,
        reject_key=tuple(meta.get("reject_key", key)),
        indexes=tuple(tuple(index) for index in meta.get("indexes", ())),
        plausible=calendar,
        meta=meta,
    )


@cache
def read_contract(source: str, project: Path = PROJECT_ROOT) -> Source:
    """Read one source's contract.

    Args:
        source: the source's name.
        project: the project's folder.

    Raises:
        ContractError: the file is missing, or says something that can't be followed; the message says where.
    """
    path = project / contract_file(source)
    if not path.exists():
        raise ContractError(f"source {source} has no contract: write {contract_file(source)}")
    document = parsed_yaml(path.read_text(encoding="utf-8"))
    raw = next(entry for entry in document["sources"] if entry["name"] == source)
    calendar = _calendar(project)
    for table in raw["tables"]:
        if table["name"] in AUDIT_TABLES and "key" in table.get("config", {}).get("meta", {}):
            raise ContractError(
                f"{source}: ingestion itself writes a table {table['name']}: give the source's another name, and "
                f"config.meta.source_name: {table['name']}"
            )
    config = raw.get("config", {})
    meta = config.get("meta", {})
    separator = str(meta.get("decimal_separator", "."))
    tables = tuple(
        _table(source, table, calendar, separator) for table in raw["tables"] if table["name"] not in AUDIT_TABLES
    )
    limit = (config.get("freshness") or {}).get("warn_after")
    return Source(
        name=source,
        schema=f"raw_{source}",
        tables=tables,
        owner=str(meta.get("owner", "")),
        reader=str(meta.get("reader", "")),
        schemas=tuple(str(each) for each in meta.get("schemas", ())),
        late_after=timedelta(**{f"{limit['period']}s": limit["count"]}) if limit else None,
        meta=meta,
    )


def source_names(project: Path = PROJECT_ROOT) -> list[str]:
    """The sources that are loaded from elsewhere, in alphabetical order: those that a domain that is on reads.

    Raises:
        ConfigurationError: DOMAINS names a domain that isn't there.
    """
    return source_ids(project)


def contracts_of(reader: str, project: Path = PROJECT_ROOT) -> list[Source]:
    """Those of them that name this reader. Raises ContractError."""
    return [contract for contract in read_contracts(project) if contract.reader == reader]


def read_contracts(project: Path = PROJECT_ROOT) -> list[Source]:
    """The contracts of all sources that are loaded from elsewhere, by their names. Raises ContractError."""
    return [read_contract(name, project) for name in source_names(project)]
