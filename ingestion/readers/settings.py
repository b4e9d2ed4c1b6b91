"""What a source is told: its settings, dlt's way, and what its contract says for its reader.

Settings are its section in .dlt/config.toml and secrets.toml, or environment variables.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import dlt

from ingestion.contract.contracts import ContractError, Source, Table, contract_file


def variable(source: str, name: str) -> str:
    """The environment variable that sets `name` for a source, such as SOURCES__<SOURCE>__CREDENTIALS."""
    return f"SOURCES__{source.upper()}__{name.upper()}"


def setting(source: str, name: str, default: Any = None, *, secret: bool = False) -> Any:
    """What is set for a source, or the default. A secret is looked for in secrets.toml too."""
    value: Any = (dlt.secrets if secret else dlt.config).get(f"sources.{source}.{name}")
    return default if value is None else value


def said(contract: Source, table: Table, kind: str, known: Collection[str]) -> dict[str, Any]:
    """What a contract says of a table for a kind of reader: `config.meta.<kind>` of the table, over that of the source.

    Raises:
        ContractError: it says something that the reader doesn't know.
    """
    options: dict[str, Any] = {**contract.meta.get(kind, {}), **table.meta.get(kind, {})}
    unknown = ", ".join(sorted(set(options) - set(known)))
    if unknown:
        raise ContractError(
            f"{contract_file(contract.name)}: {table.name}: config.meta.{kind} has {unknown}, and knows "
            f"{', '.join(sorted(known))}"
        )
    return options


def require_choice(where: str, name: str, value: str, choices: Collection[str]) -> None:
    """Raise ContractError where an option of a contract is none of its choices."""
    if value not in choices:
        raise ContractError(f"{where}: {name} is '{value}': say one of {', '.join(choices)}")
