"""Ports of this machine that servers of ours listen on."""

from __future__ import annotations

import socket

from warehouse.errors import BuildError


def require_free(port: int, command: str) -> None:
    """Raise BuildError where somebody listens on this port of the loopback; `command` is what to call with another."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise BuildError(f"port {port} is taken: `{command} PORT={port + 1}`") from error
