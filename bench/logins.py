"""Who asks a Postgres in the measurements: as in production, nobody is its superuser, and row security is on."""

from __future__ import annotations

# Login: its role, and whose rows it sees.
LOGINS: dict[str, tuple[str, list[str]]] = {"bench_reporter": ("reporter", []), "bench_tenant": ("tenant", ["shop"])}
