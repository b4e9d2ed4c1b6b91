"""Superset's settings, read by Superset itself. What differs from place to place comes in by `GRANARY_BI__…`."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

HOME = Path(os.environ["GRANARY_BI__HOME"])

SECRET_KEY = (HOME / "secret_key").read_text().strip()
SQLALCHEMY_DATABASE_URI = os.environ.get("GRANARY_BI__METADATA_URL") or f"sqlite:///{HOME / 'superset.db'}"

# Answers are small and the marts change by whole generations: nothing is kept, so that a dashboard is never older than
# what is published. What a browser needs between two clicks lies in the metadata database, Superset's default.
CACHE_CONFIG = DATA_CACHE_CONFIG = {"CACHE_TYPE": "NullCache"}
RATELIMIT_STORAGE_URI = "memory://"  # one process serves

LOG_LEVEL = logging.WARNING
APP_NAME = "Granary"
WTF_CSRF_TIME_LIMIT = 60 * 60 * 12
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_HTTPONLY = True
# Loopback has no certificate. Behind a proxy that has one, say so.
SESSION_COOKIE_SECURE = bool(os.environ.get("GRANARY_BI__HTTPS"))
TALISMAN_CONFIG = {
    "content_security_policy": {
        "base-uri": ["'self'"],
        "default-src": ["'self'"],
        "img-src": ["'self'", "blob:", "data:"],
        "worker-src": ["'self'", "blob:"],
        "connect-src": ["'self'"],
        "object-src": "'none'",
        "style-src": ["'self'", "'unsafe-inline'"],
        "script-src": ["'self'", "'strict-dynamic'"],
    },
    "content_security_policy_nonce_in": ["script-src"],
    "force_https": False,
    "session_cookie_secure": SESSION_COOKIE_SECURE,
}
ENABLE_PROXY_FIX = bool(os.environ.get("GRANARY_BI__HTTPS"))
SCARF_ANALYTICS = False
FEATURE_FLAGS = {"DASHBOARD_RBAC": True}
ALERT_REPORTS_NOTIFICATION_DRY_RUN = True


def DB_CONNECTION_MUTATOR(  # noqa: N802  Superset's name
    uri: Any, params: dict[str, Any], username: str | None, security_manager: Any, source: Any
) -> tuple[Any, dict[str, Any]]:
    """DuckDB: give each query a connection of its own to the published files, both read-only.

    The names are those of Postgres: the marts' schemas, and the runs as the schema `runs`. A connection that lived
    longer would hold the file of an older generation.
    """
    if uri.get_backend_name() == "duckdb":
        params = {**params, "creator": _published}
    return uri, params


def _published() -> Any:
    import duckdb
    from duckdb_engine import ConnectionWrapper

    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    key = os.environ.get("PRIVACY__FILES_KEY", "").replace("'", "''")
    options = f"read_only, encryption_key '{key}'" if key else "read_only"
    if key:
        # Encrypted files are written by an extension of another version: what memory doesn't hold fails, unwritten.
        connection.execute("set temp_directory = ''")
    for name, variable in (("runs", "GRANARY_BI__RUNS_FILE"), ("marts", "GRANARY_BI__MARTS_FILE")):
        file = os.environ[variable].replace("'", "''")
        connection.execute(f"attach '{file}' as {name} ({options})")
    connection.execute("use marts; set enable_external_access = false; set lock_configuration = true")
    return ConnectionWrapper(connection)
