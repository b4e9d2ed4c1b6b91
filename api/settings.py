"""What the API's environment variables set, all of which may be left out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from ingestion.environment import ConfigurationError


@dataclass(frozen=True)
class Settings:
    """Limits of the API.

    origins: web pages that browsers may call it from.
    proxies: that say under which path they serve the API; nobody else's word is taken for it.
    requests: of a key in a minute.
    rows: of an answer that comes whole.
    seconds: that an answer may take, from the first to its last byte.
    connections: to the database, of all keys together; of one key half as many.
    spool_rows, spool_bytes: that the pages of one question may have.
    spools_bytes: of all questions together.
    spool_seconds: for which pages are kept after the last was asked for.
    """

    origins: tuple[str, ...] = ()
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    requests: int = 60_000
    rows: int = 10_000_000
    seconds: int = 120
    connections: int = 20
    spool_rows: int = 1_000_000
    spool_bytes: int = 512_000_000
    spools_bytes: int = 4_000_000_000
    spool_seconds: int = 600


def current_settings() -> Settings:
    """The settings of the environment: API__ORIGINS, API__REQUESTS, API__ROWS and so on.

    Raises:
        ConfigurationError: one is no number above 0, or a proxy no address.
    """
    given: dict[str, int] = {}
    for name in Settings.__dataclass_fields__:
        text = os.environ.get(f"API__{name.upper()}", "")
        if name in ("origins", "proxies") or not text:
            continue
        if not (text.isascii() and text.isdigit() and int(text) > 0):
            raise ConfigurationError(f"API__{name.upper()}={text}: it takes a number above 0")
        given[name] = int(text)
    try:
        proxies = tuple(ip_network(each) for each in _listed("API__PROXIES"))
    except ValueError as error:
        raise ConfigurationError(f"API__PROXIES takes addresses, such as 10.0.0.7 or 10.0.0.0/24: {error}") from error
    return Settings(origins=_listed("API__ORIGINS"), proxies=proxies, **given)


def _listed(name: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in os.environ.get(name, "").split(",") if each.strip())
