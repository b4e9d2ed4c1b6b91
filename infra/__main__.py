"""`python -m infra`: what the Makefile calls to look after a production Postgres."""

from __future__ import annotations

import argparse
import os
import sys

from infra.logins import make_login
from infra.migrate import HEAD, migrate
from ingestion.destination import ConfigurationError, current_target
from warehouse.errors import BuildError


def main() -> int:
    """Run one command. Returns the exit status: 0 done, 1 failed, 2 wrongly asked."""
    parser = argparse.ArgumentParser(prog="python -m infra", description="A production Postgres, around the build.")
    commands = parser.add_subparsers(dest="command", required=True)
    migrating = commands.add_parser("migrate", help="roles, row security and audit, to the newest migration")
    migrating.add_argument("revision", nargs="?", default=HEAD, help="another one: 0001, 0002, … or base")
    making = commands.add_parser("login", help="make a login, or change one (LOGIN_PASSWORD: its password)")
    making.add_argument("name")
    making.add_argument("--role", required=True)
    making.add_argument("--tenants", default="", help="for a tenant: whose rows, with commas between")
    arguments = parser.parse_args()
    try:
        target = current_target()
        if target.engine != "postgres":
            raise ConfigurationError("DuckDB has no roles and no logins: TARGET=prod names the Postgres")
        if arguments.command == "migrate":
            migrate(arguments.revision, print)
        else:
            tenants = [each.strip() for each in arguments.tenants.split(",") if each.strip()]
            make_login(arguments.name, arguments.role, tenants, os.environ.get("LOGIN_PASSWORD", ""), print)
    except ConfigurationError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 2
    except BuildError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
