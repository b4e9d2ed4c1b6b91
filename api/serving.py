"""Put a service together for a warehouse, and serve it."""

from __future__ import annotations

import gc
import os
import shutil
from contextlib import suppress
from pathlib import Path

import uvicorn

from api.accesses import Accesses
from api.app import application
from api.project import Project
from api.reading import Reader
from api.service import Service
from api.settings import Settings
from api.spool import Spools
from ingestion.destination.target import Target
from ingestion.environment import ConfigurationError
from warehouse.errors import BuildError

FOLDER = "api"
LOG = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"error": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"level": "WARNING", "handlers": ["error"]},
    "loggers": {"uvicorn.error": {"level": "WARNING"}},
}


def service_of(target: Target, settings: Settings) -> Service:
    """A service over what a warehouse has published.

    Raises:
        BuildError: the project doesn't parse, or this warehouse has no logins.
    """
    if target.lake:
        raise ConfigurationError(
            "the API serves DuckDB's own file or Postgres, not a lake: readers attach its catalog, and a tenant has an "
            "extract (docs/lake.md)"
        )
    if target.name == "sandbox":
        raise BuildError("a sandbox is its owner's alone, and has no logins: TARGET=dev or TARGET=prod")
    # Sessions of the API are those of keys, and take on no role of a build's.
    os.environ.pop("PGOPTIONS", None)
    project = Project(target)
    folder = _own_folder(target.folder / FOLDER)
    accesses = Accesses(target.folder)
    reader: Reader
    if target.engine == "postgres":
        from api.postgres import PostgresReader

        reader = PostgresReader(target, project, settings, accesses.sums)
    else:
        from api.duck import DuckReader

        reader = DuckReader(target, project, settings, folder / "extracts")
    return Service(reader, project, settings, accesses, Spools(folder / "spool", settings))


def serve(target: Target, settings: Settings, host: str, port: int) -> None:
    """Serve until somebody ends it. Raises BuildError."""
    service = service_of(target, settings)
    # What is there now stays: without this, looking for garbage among it would be a sixth of what few rows cost.
    gc.collect()
    gc.freeze()
    print(f"the API is at http://{host}:{port}/catalog; make api-key LOGIN=… makes keys. Ctrl-C ends it", flush=True)
    uvicorn.run(
        application(service), host=host, port=port, log_config=LOG, access_log=False, server_header=False,
        proxy_headers=False, timeout_keep_alive=30, limit_concurrency=1000, timeout_graceful_shutdown=10,
    )  # fmt: skip


def _own_folder(folder: Path) -> Path:
    """A folder of this process below the given one, where those of processes that are gone are deleted."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for each in folder.iterdir():
        if each.name.isdigit() and not _runs(int(each.name)):
            shutil.rmtree(each, ignore_errors=True)
    own = folder / str(os.getpid())
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir(mode=0o700)
    return own


def _runs(process: int) -> bool:
    with suppress(PermissionError):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
    return True
