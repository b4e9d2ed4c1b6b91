"""`python -m reports.superset`: start Superset with the dashboards over what is published, on the loopback.

The bundle here holds those of operations; a domain's lies in `reports/<domain>/superset`.
"""

from __future__ import annotations

import argparse
import getpass
import os
import secrets
import subprocess
import sys
from pathlib import Path

import psycopg2

from ingestion.destination.target import Target, current_target
from ingestion.domains import domains, listed
from ingestion.environment import ConfigurationError
from ingestion.keys import files_key
from ingestion.project import PROJECT_ROOT
from warehouse.errors import BuildError
from warehouse.parts import CORE
from warehouse.ports import require_free
from warehouse.reading.domains import leave_out_unused
from warehouse.reading.query import require_published

PYTHON = PROJECT_ROOT / os.environ.get("BI_VENV", ".venv-bi") / "bin" / "python"
HERE = Path(__file__).parent
REPORTS = HERE.parent
BUNDLE = HERE / "bundle"

_RIGHTS = """
    select
        coalesce(string_agg(distinct nspname, ', ') filter (where not has_schema_privilege(nspname, 'usage')), ''),
        coalesce(min(oid::regclass::text) filter (
            where has_table_privilege(oid, 'insert') or has_table_privilege(oid, 'update')
                or has_table_privilege(oid, 'delete') or has_table_privilege(oid, 'truncate')), '')
    from (
        select relations.oid, schemas.nspname
        from pg_namespace as schemas
        left join pg_class as relations on schemas.oid = relations.relnamespace and relations.relkind in ('r', 'p')
        where schemas.nspname = any(%s)
    ) as published"""


def bundles(reports: Path = REPORTS, project: Path = PROJECT_ROOT) -> tuple[dict[str, Path], list[Path]]:
    """The dashboards of the domains that are on, by the domain, and those of domains that are off.

    Raises:
        ConfigurationError: DOMAINS names one that isn't there.
    """
    there = {each.name: reports / each.name / "superset" for each in listed(project)}
    on = [each.name for each in domains(project)]
    found = {name: folder for name, folder in there.items() if folder.is_dir()}
    return {name: found[name] for name in on if name in found}, [found[name] for name in found if name not in on]


def main() -> None:
    """Prepare Superset's own database, import the bundles, and become the server. Ends with 1 or 2 where it can't."""
    parser = argparse.ArgumentParser(prog="python -m reports.superset", description=__doc__)
    parser.add_argument("--port", type=int, default=8088)
    parser.add_argument("--export", nargs="?", type=Path, const=REPORTS, metavar="FOLDER",
                        help="write the dashboards as they are now over the bundles, or below a folder")  # fmt: skip
    arguments = parser.parse_args()
    try:
        target = current_target()
        leave_out_unused(target)
        home = target.folder / "superset"
        environment = _environment(target, home)
        if arguments.export:
            if not (home / "secret_key").exists():
                raise BuildError(f"there is no Superset in {home} yet: `make bi` starts one")
            words = ["--from", str(REPORTS), "--to", str(arguments.export.resolve())]
            _provision("export", [*words, *map(str, [BUNDLE, *bundles()[0].values()])], home, environment)
            print(f"the dashboards are written below {arguments.export}; `git diff` shows what changed")
            return
        require_free(arguments.port, "make bi")
        _prepare(home, environment)
    except ConfigurationError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        sys.exit(2)
    except BuildError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        sys.exit(1)
    where = f"http://127.0.0.1:{arguments.port}"
    print(f"Superset is at {where}, for admin; its home is {home}. Ctrl-C ends it", flush=True)
    command = [str(PYTHON), "-m", "gunicorn", "--bind", f"127.0.0.1:{arguments.port}", "--workers", "1"]
    command += ["--worker-class", "gthread", "--threads", "8", "--timeout", "120", "--log-level", "warning"]
    os.execve(str(PYTHON), [*command, "superset.app:create_app()"], environment)


def _environment(target: Target, home: Path) -> dict[str, str]:
    """What Superset's settings need to know, and where the data are.

    Raises:
        ConfigurationError: the target has other schema names, or the login that reads is not named.
        BuildError: nothing is published, or the login may do more than read.
    """
    if target.prefix:
        raise ConfigurationError("dashboards read the published marts, not a sandbox: TARGET is dev or prod")
    require_published(target)
    environment = os.environ | {
        "SUPERSET_CONFIG_PATH": str(HERE / "superset_config.py"),
        "SUPERSET_HOME": str(home),
        "GRANARY_BI__HOME": str(home),
        "GRANARY_BI__METADATA_URL": os.environ.get("BI__METADATA_URL", ""),
        "GRANARY_BI__HTTPS": os.environ.get("BI__HTTPS", ""),
    }
    if target.lake:
        raise ConfigurationError(
            "these dashboards read DuckDB's own file or Postgres; a BI tool with DuckDB's driver reads a lake by "
            f"`{target.lake.readers_line()}`"
        )
    if target.engine == "duckdb":
        return environment | {
            "GRANARY_BI__DATABASE_URL": "duckdb:///:memory:",
            "GRANARY_BI__MARTS_FILE": str(target.published_file),
            "GRANARY_BI__RUNS_FILE": str(target.folder / "runs.duckdb"),
            "PRIVACY__FILES_KEY": files_key(),
        }
    login = os.environ.get("BI__PGUSER")
    if not login:
        raise ConfigurationError(
            "dashboards read as a login of their own, one that only reads: set BI__PGUSER, and BI__PGPASSWORD"
        )
    environment |= {"PGUSER": login, "PGOPTIONS": "-c default_transaction_read_only=on"}
    if password := os.environ.get("BI__PGPASSWORD"):
        environment["PGPASSWORD"] = password
    _require_reader(login, environment)
    # libpq takes the rest from the environment, so that Superset's own database holds no password.
    return environment | {"GRANARY_BI__DATABASE_URL": "postgresql+psycopg2://"}


def _require_reader(login: str, environment: dict[str, str]) -> None:
    try:
        connection = psycopg2.connect("", user=login, password=environment.get("PGPASSWORD"))
    except psycopg2.Error as error:
        raise BuildError(f"{login} can't sign in: {str(error).strip().splitlines()[0]}") from error
    with connection, connection.cursor() as cursor:
        cursor.execute(_RIGHTS, [[*bundles()[0], CORE, "ops", "runs"]])
        closed, writable = cursor.fetchone() or ("", "")
    connection.close()
    if writable:
        raise BuildError(f"{login} may write to {writable}: dashboards need a login that only reads")
    if closed:
        raise BuildError(f"{login} may not use the schemas {closed}, which the dashboards read: grant usage and select")


def _prepare(home: Path, environment: dict[str, str]) -> None:
    """Superset's own database, with an admin and the bundles; the first time somebody chooses the admin's password."""
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    key = home / "secret_key"
    password = os.environ.get("BI__ADMIN_PASSWORD", "")
    is_new = not key.exists()
    if is_new and not password and sys.stdin.isatty():
        password = getpass.getpass("a password for Superset's admin (empty: one is made): ")
    made = is_new and not password
    if made:
        password = secrets.token_urlsafe(12)
    partial = key.with_suffix(".new")
    if is_new:
        partial.touch(mode=0o600)
        partial.write_text(secrets.token_urlsafe(42))
        partial.replace(key)
    print("preparing Superset" + (", which takes half a minute the first time" if is_new else ""), flush=True)
    on, off = bundles()
    words = [str(BUNDLE), *map(str, on.values()), *(f"--off={each}" for each in off)]
    try:
        _provision("import", words, home, environment | {"GRANARY_BI__ADMIN_PASSWORD": password})
    except BuildError:
        if is_new:
            key.unlink()
        raise
    if made:
        print(f"admin's password is {password}; it is kept nowhere else. Change it under Settings, Info")


def _provision(step: str, words: list[str], home: Path, environment: dict[str, str]) -> None:
    log = home / "provision.log"
    with log.open("w") as output:
        ended = subprocess.run(
            [str(PYTHON), str(HERE / "provision.py"), step, *words],
            env=environment, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    if ended.returncode:
        last = log.read_text().strip().splitlines()[-1:]
        raise BuildError(f"Superset's {step} ended with {ended.returncode}: {' '.join(last)}; all of it is in {log}")


if __name__ == "__main__":
    main()
