"""A source's settings, dlt's way: its section in .dlt/config.toml and secrets.toml, or environment variables."""

from __future__ import annotations

from typing import Any

import dlt


def variable(source: str, name: str) -> str:
    """The environment variable that sets `name` for a source, such as SOURCES__<SOURCE>__CREDENTIALS."""
    return f"SOURCES__{source.upper()}__{name.upper()}"


def setting(source: str, name: str, default: Any = None, *, secret: bool = False) -> Any:
    """What is set for a source, or the default. A secret is looked for in secrets.toml too."""
    value: Any = (dlt.secrets if secret else dlt.config).get(f"sources.{source}.{name}")
    return default if value is None else value
