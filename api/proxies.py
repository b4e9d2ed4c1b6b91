"""What a proxy before the API says of how it is served.

Links are paths, so neither the scheme nor the host that the caller knows matters, and the caller's address is nowhere
noted: of all that proxies tell, `X-Forwarded-Prefix` alone is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address

from starlette.requests import Request

_PATH = re.compile(r"(/[\w.~%-]+)+", re.ASCII)


def prefix_of(request: Request, proxies: Iterable[IPv4Network | IPv6Network]) -> str:
    """The path that the API is served under, such as `/warehouse`, where a trusted proxy says one; else nothing."""
    said = request.headers.get("x-forwarded-prefix", "").rstrip("/")
    if not said or request.client is None or not _PATH.fullmatch(said):
        return ""
    caller = ip_address(request.client.host)
    return said if any(caller in each for each in proxies) else ""
