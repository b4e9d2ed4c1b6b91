"""`python -m infra`: what the Makefile calls to look after a production Postgres."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from infra.cluster import Cluster, bring_down, bring_up, is_running, primary_of
from infra.drills import backup, failover_drill, promote, rejoin, restore_drill
from infra.erasure import erasure_drill
from infra.following import following_drill
from infra.logins import make_login
from infra.migrate import HEAD, migrate
from infra.rotation import rotate
from infra.scratch import companies
from ingestion.destination.lock import LockError
from ingestion.destination.target import current_target
from ingestion.environment import ConfigurationError, exiting
from warehouse.database import open_database
from warehouse.errors import BuildError
from warehouse.ops.rekey import rekey
from warehouse.publish.access import audited as audit


def _on_cluster(arguments: argparse.Namespace) -> None:
    cluster = Cluster(Path(os.environ.get("INFRA_DIR", "/var/lib/granary")), int(os.environ.get("INFRA_PORT", "5432")))
    if arguments.command == "up":
        bring_up(cluster, _say)
        return
    if not (cluster.root / "conf").exists():
        raise BuildError(f"there is nothing in {cluster.root} yet: `make infra-up` first, or say INFRA_DIR=…")
    if arguments.command == "down":
        bring_down(cluster, _say)
    elif arguments.command == "env":
        for name, value in cluster.environment(primary_of(cluster)).items():
            print(f"export {name}={value}")
    elif arguments.command == "backup":
        backup(cluster, arguments.kind, _say)
    elif arguments.command == "restore-drill":
        restore_drill(cluster, arguments.to, _say)
    elif arguments.command == "failover-drill":
        failover_drill(cluster, _say)
    elif arguments.command == "rotate":
        rotate(cluster, arguments.key, _say)
    elif arguments.command == "erasure-drill":
        erasure_drill(cluster, _say)
    elif arguments.command == "following-drill":
        following_drill(cluster, _say, arguments.kills, arguments.batches, arguments.seed)
    elif arguments.command in ("promote", "rejoin"):
        primary = primary_of(cluster)
        other = cluster.other(primary)
        if arguments.command == "rejoin" and is_running(cluster, other):
            raise BuildError(
                f"node {other} runs already; pg_stat_replication on node {primary} says whether it follows"
            )
        if arguments.command == "rejoin":
            rejoin(cluster, other, primary)
            _say(f"node {other} follows node {primary}, synchronous")
        elif is_running(cluster, primary):
            raise BuildError(f"node {primary} runs and takes writes: two that do are worse than none. Stop it first")
        else:
            promote(cluster, other)
            _say(f"node {other} takes writes, port {cluster.node_port(other)}, and the pooler leads to it")
            _say("next: make rejoin")
    else:
        backup(cluster, "full", _say)
        restore_drill(cluster, "", _say)
        failover_drill(cluster, _say)
        backup(cluster, "incr", _say)
        restore_drill(cluster, "", _say)
        if companies():
            erasure_drill(cluster, _say)
        if companies("work"):
            following_drill(cluster, _say)


def _say(line: str) -> None:
    print(line, flush=True)


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
    commands.add_parser("up", help="primary, synchronous replica, pooler, backup repository, on this machine")
    commands.add_parser("down", help="stop them; the data stay")
    commands.add_parser("erasure-drill", help="forget somebody, restore to before that, forget again")
    following = commands.add_parser(
        "following-drill", help="follow a source's log, kill loads, compare with what was done"
    )
    following.add_argument("--kills", type=int, default=10, help="how many loads are killed (default: %(default)s)")
    following.add_argument("--batches", type=int, default=5, help="micro-batches whose lag is measured afterwards")
    following.add_argument("--seed", type=int, default=11, help="of the work and of the moments")
    rotating = commands.add_parser("rotate", help="new secrets in the place of old ones, while everything runs")
    rotating.add_argument("key", help="passwords, certificates or repository of the cluster, or files")
    commands.add_parser("env", help="what an administrator exports to reach the primary")
    backing = commands.add_parser("backup", help="back up, verify, let go of what retention no longer keeps")
    backing.add_argument("--kind", choices=["full", "incr"], default="incr")
    restoring = commands.add_parser("restore-drill", help="restore beside the running server, and prove what is there")
    restoring.add_argument("--to", default="", help="a time with its zone; the drill's own unless given")
    commands.add_parser("failover-drill", help="kill the primary under writes, promote the replica, rejoin")
    commands.add_parser("promote", help="the primary is gone: have the replica take writes")
    commands.add_parser("rejoin", help="have the former primary follow, wound back")
    commands.add_parser("drill", help="backup, restore, failover, restore, erasure, following, one after the other")
    arguments = parser.parse_args()
    with exiting(BuildError, LockError) as status:
        is_of_files = arguments.command == "rotate" and arguments.key == "files"
        if arguments.command not in ("migrate", "login") and not is_of_files:
            _on_cluster(arguments)
            return 0
        target = current_target()
        if is_of_files:
            rekey(target, _say)
            if target.engine == "postgres":
                with open_database(target) as database:
                    audit(database, "rotation", json.dumps({"rotated": "files"}))
            return 0
        if target.engine != "postgres":
            raise ConfigurationError("DuckDB has no roles and no logins: TARGET=prod names the Postgres")
        if arguments.command == "migrate":
            migrate(arguments.revision, print)
        else:
            tenants = [each.strip() for each in arguments.tenants.split(",") if each.strip()]
            make_login(arguments.name, arguments.role, tenants, os.environ.get("LOGIN_PASSWORD", ""), print)
    return status.code


if __name__ == "__main__":
    sys.exit(main())
