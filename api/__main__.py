"""`python -m api`: serve the published marts over HTTP, and make the keys that it takes."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress

from api import keys
from api.settings import current_settings
from ingestion.destination.target import current_target
from ingestion.environment import exiting
from warehouse.errors import BuildError
from warehouse.ports import require_free


def main() -> int:
    """Run one command. Returns the exit status: 0 done, 1 failed, 2 wrongly asked."""
    parser = argparse.ArgumentParser(prog="python -m api", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="serve until Ctrl-C")
    serving.add_argument("--port", type=int, default=8080)
    serving.add_argument(
        "--host", default="127.0.0.1", help="where to listen (default: %(default)s, this machine alone)"
    )
    keeping = commands.add_parser("key", help="make a key, list keys, or revoke one")
    keeping.add_argument("--login", default="", help="whom it is for; without it, keys are listed")
    keeping.add_argument(
        "--tenants", default="", help="DuckDB: whose rows it reads, with commas between; else all rows"
    )
    keeping.add_argument("--days", type=int, default=90, help="for how long it is good (default: %(default)s)")
    keeping.add_argument("--list", action="store_true", help="list the keys of the login")
    keeping.add_argument("--revoke", default="", help="the name of a key, which is what stands before its point")
    arguments = parser.parse_args()
    with exiting(BuildError) as status, suppress(KeyboardInterrupt):
        target = current_target()
        if arguments.command == "serve":
            from api.serving import serve

            settings = current_settings()
            require_free(arguments.port, "make api")
            serve(target, settings, arguments.host, arguments.port)
        elif arguments.revoke:
            keys.revoke(target, arguments.revoke, print)
        elif arguments.login and not arguments.list:
            tenants = [each.strip() for each in arguments.tenants.split(",") if each.strip()]
            keys.make(target, arguments.login, tenants, arguments.days, print)
        else:
            keys.listed(target, arguments.login, print)
    return status.code


if __name__ == "__main__":
    sys.exit(main())
