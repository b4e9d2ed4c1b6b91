"""The certificates by which the cluster's connections are encrypted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from infra.machine import as_server


def make_certificates(folder: Path, run: Callable[[list[str]], object] = as_server) -> None:
    """An authority of its own, and a server certificate by it for the loopback's names, where none is.

    Args:
        folder: where they go: ca.crt, ca.key, server.crt, server.key.
        run: runs a command, as whom the files are to belong to.
    """
    if (folder / "server.crt").exists():
        return
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]
    run(["openssl", "req", "-x509", *curve, "-days", "3650", "-subj", "/CN=granary ca",
         "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.crt"])  # fmt: skip
    run(["openssl", "req", "-x509", *curve, "-days", "825", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE",
         "-CA", f"{folder}/ca.crt", "-CAkey", f"{folder}/ca.key",
         "-keyout", f"{folder}/server.key", "-out", f"{folder}/server.crt"])  # fmt: skip
    for name in ("ca.key", "server.key"):
        (folder / name).chmod(0o600)
