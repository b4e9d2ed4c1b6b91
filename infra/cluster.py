"""A production Postgres on one machine: primary, synchronous replica, pooler, encrypted backup repository.

All of it lies in one folder that belongs to the server's user. Configuration lies beside the data and not in it, so
that neither a base backup nor a rewind brings another node's along. On three machines the same files serve: each
machine has the folder with its own node started, and the others' names in the templates for the loopback's.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Template

from infra.certificates import make_certificates
from infra.machine import LIMIT, NO_LIMIT, SERVER_USER, as_server, as_user, binary, own, require_tools, wait_for, write

TEMPLATES = Path(__file__).parent / "templates"
STANZA = "granary"
NODES = ("one", "two")
SECRETS = ("superuser", "replicator", "pooler", "repository")


@dataclass(frozen=True)
class Cluster:
    """Where it lies and on which ports of the loopback it listens: the first node's, the second's, the pooler's."""

    root: Path
    port: int = 5432

    @property
    def pooler_port(self) -> int:
        """The port that everybody but the administrator connects to."""
        return self.port + 2

    def node_port(self, node: str) -> int:
        """The port of a node."""
        return self.port + NODES.index(node)

    def data(self, node: str) -> Path:
        """A node's data directory."""
        return self.root / node

    def secret(self, name: str) -> str:
        """One of `SECRETS`."""
        return (self.root / "secrets" / name).read_text(encoding="utf-8").strip()

    def other(self, node: str) -> str:
        """The node that this one isn't."""
        return NODES[1 - NODES.index(node)]

    def postmaster(self, node: str) -> int:
        """The process of a node's server, by the file that it keeps. Raises OSError where it keeps none."""
        return int((self.data(node) / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])

    def environment(self, node: str, user: str = SERVER_USER) -> dict[str, str]:
        """Libpq's variables for the superuser on a node."""
        return {
            "PGHOST": "localhost",
            "PGPORT": str(self.node_port(node)),
            "PGUSER": user,
            "PGPASSWORD": self.secret("superuser"),
            "PGDATABASE": "granary",
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": str(self.root / "tls" / "ca.crt"),
        }


def bring_up(cluster: Cluster, say: Callable[[str], None]) -> None:
    """Make what isn't there, start what doesn't run.

    Raises:
        BuildError: something is missing on this machine, or a step failed; the message says which.
    """
    require_tools()
    started = time.monotonic()
    _make_folders(cluster)
    _make_secrets(cluster)
    make_certificates(cluster.root / "tls")
    write_configuration(cluster)
    primary = primary_of(cluster)
    if not (cluster.data(primary) / "PG_VERSION").exists():
        say("making the primary")
        _make_primary(cluster, primary)
    replica = cluster.other(primary)
    is_copied = (cluster.data(replica) / "PG_VERSION").exists()
    if not is_copied:  # a primary that was restored would wait for a replica that is no more
        write(cluster.root / "conf" / f"{primary}.follows.conf", "")
    start_node(cluster, primary)
    run_sql(cluster, primary, "select pg_reload_conf()")
    say(f"primary: node {primary}, port {cluster.node_port(primary)}")
    if is_copied:
        start_node(cluster, replica)  # before anything is written: the primary waits for it
    _make_roles(cluster, primary)
    pgbackrest(cluster, "stanza-create")
    say(f"backup repository: {cluster.root / 'repository'}, encrypted")
    if not is_copied:
        say("copying the primary to the replica")
        make_replica(cluster, primary, replica)
    start_node(cluster, replica)
    make_synchronous(cluster, primary, replica)
    say(f"replica: node {replica}, port {cluster.node_port(replica)}, synchronous")
    point_pooler(cluster, primary)
    say(f"pooler: port {cluster.pooler_port}")
    pgbackrest(cluster, "check")
    say(f"up after {time.monotonic() - started:.0f} s; the archive was checked")
    say(f"passwords are in {cluster.root / 'secrets'}; `make infra-env` prints what an administrator exports")


def bring_down(cluster: Cluster, say: Callable[[str], None]) -> None:
    """Stop the pooler and both nodes; the data stay."""
    _stop_pooler(cluster)
    for node in reversed(NODES):
        if is_running(cluster, node):
            as_server([binary("pg_ctl"), "-D", str(cluster.data(node)), "-m", "fast", "-w", "stop"])
            say(f"node {node} is stopped")


def primary_of(cluster: Cluster) -> str:
    """The node that takes writes, by what the last failover wrote down; the first where there was none."""
    noted = cluster.root / "conf" / "primary"
    return noted.read_text(encoding="utf-8").strip() if noted.exists() else NODES[0]


def start_node(cluster: Cluster, node: str) -> None:
    """Start a node, where it doesn't run."""
    if is_running(cluster, node):
        return
    log, settings = cluster.root / "log" / f"{node}.log", f"-c config_file={cluster.root}/conf/{node}.conf"
    control = [binary("pg_ctl"), "-D", str(cluster.data(node)), "-w", "-t", "60", "-l", str(log), "-o", settings]
    as_server([*control, "start"])


def is_running(cluster: Cluster, node: str) -> bool:
    """Whether a node's server runs."""
    if not (cluster.data(node) / "PG_VERSION").exists():
        return False
    status = [binary("pg_ctl"), "-D", str(cluster.data(node)), "status"]
    return subprocess.run(as_user(status), capture_output=True, cwd="/").returncode == 0


def make_replica(cluster: Cluster, primary: str, replica: str) -> None:
    """Copy the primary into an empty node, which follows it by a slot of its own."""
    as_server(
        [
            binary("pg_basebackup"), "-D", str(cluster.data(replica)), "-X", "stream", "-c", "fast",
            "-d", _conninfo(cluster, primary, "replicator"),
        ],
        seconds=NO_LIMIT,
        PGPASSWORD=cluster.secret("replicator"),
    )  # fmt: skip
    follow(cluster, primary, replica)


def follow(cluster: Cluster, primary: str, replica: str) -> None:
    """Have a stopped node follow a primary from its next start on."""
    run_sql(
        cluster, primary,
        f"select pg_create_physical_replication_slot('{replica}') "
        f"where not exists (select 1 from pg_replication_slots where slot_name = '{replica}')",
    )  # fmt: skip
    write(cluster.data(replica) / "standby.signal", "")
    follow_by(cluster, primary, replica)


def follow_by(cluster: Cluster, primary: str, replica: str) -> None:
    """Write down by which connection a node follows a primary."""
    connection = f"{_conninfo(cluster, primary, 'replicator')} password={cluster.secret('replicator')}"
    write(
        cluster.root / "conf" / f"{replica}.follows.conf",
        f"primary_conninfo = '{connection} application_name={replica}'\nprimary_slot_name = '{replica}'\n",
    )


def make_synchronous(cluster: Cluster, primary: str, replica: str) -> None:
    """Have the primary acknowledge a commit when the replica has it too. Waits until that is so."""
    write(cluster.root / "conf" / f"{primary}.follows.conf", f"synchronous_standby_names = '{replica}'\n")
    run_sql(cluster, primary, "select pg_reload_conf()")
    wait_for(
        lambda: run_sql(cluster, primary, "select sync_state from pg_stat_replication") == "sync",
        f"the replica {replica} does not follow; see {cluster.root / 'log'}",
    )


def point_pooler(cluster: Cluster, primary: str) -> None:
    """Let the pooler lead writers to this node and readers to its replica, and write down that it takes writes.

    Who is connected stays so, and waits. While no replica follows, readers are led to the primary too.
    """
    follows = run_sql(cluster, primary, "select 1 from pg_stat_replication where state = 'streaming'")
    readers = cluster.other(primary) if follows else primary
    write(cluster.root / "conf" / "pgbouncer.ini", _filled("pgbouncer.ini", cluster, primary, readers))
    write(cluster.root / "conf" / "primary", primary + "\n")
    if pid := _pooler_pid(cluster):
        os.kill(pid, signal.SIGHUP)
    else:
        as_server(["pgbouncer", "-q", "-d", str(cluster.root / "conf" / "pgbouncer.ini")])


def run_sql(
    cluster: Cluster, node: str | int, statement: str, database: str = "postgres", seconds: float | None = LIMIT
) -> str:
    """Run a statement as the superuser, over the socket of a node or of a port. Returns what psql prints, by line."""
    port = node if isinstance(node, int) else cluster.node_port(node)
    return as_server([
        binary("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", str(cluster.root / "run"),
        "-p", str(port), "-d", database, "-f", "-",
    ], said=statement, seconds=seconds)  # fmt: skip


def pgbackrest(cluster: Cluster, *arguments: str) -> str:
    """Run pgBackRest with the settings of the node that takes writes. Returns what it printed."""
    settings = f"{cluster.root}/conf/{primary_of(cluster)}.backup.conf"
    return as_server(["pgbackrest", f"--config={settings}", f"--stanza={STANZA}", *arguments], seconds=NO_LIMIT)


def _make_folders(cluster: Cluster) -> None:
    for name in ("", "conf", "tls", "secrets", "log", "run", "repository", "spool", "lock"):
        folder = cluster.root / name
        folder.mkdir(parents=True, exist_ok=True)
        own(folder)
        folder.chmod(0o755 if name in ("", "run", "tls") else 0o700)


def _make_secrets(cluster: Cluster) -> None:
    for name in SECRETS:
        if not (cluster.root / "secrets" / name).exists():
            write(cluster.root / "secrets" / name, secrets.token_urlsafe(32) + "\n")


def write_configuration(cluster: Cluster) -> None:
    """Write every setting anew from the templates; whom a node follows stays as it is."""
    write(cluster.root / "conf" / "pg_hba.conf", _filled("pg_hba.conf", cluster))
    write(cluster.root / "conf" / "users.txt", f'"pooler" "{cluster.secret("pooler")}"\n')
    for node in NODES:
        write(cluster.root / "conf" / f"{node}.conf", _filled("postgresql.conf", cluster, node))
        write(cluster.root / "conf" / f"{node}.backup.conf", _filled("pgbackrest.conf", cluster, node))
        if not (cluster.root / "conf" / f"{node}.follows.conf").exists():
            write(cluster.root / "conf" / f"{node}.follows.conf", "")


def _make_primary(cluster: Cluster, node: str) -> None:
    as_server([
        binary("initdb"), "-D", str(cluster.data(node)), "-U", SERVER_USER, "-E", "UTF8", "--locale=C.UTF-8",
        "--data-checksums", "--auth-local=peer", "--auth-host=scram-sha-256",
        f"--pwfile={cluster.root}/secrets/superuser",
    ])  # fmt: skip


def _make_roles(cluster: Cluster, node: str) -> None:
    for name, rights in (("replicator", "login replication"), ("pooler", "login")):
        run_sql(cluster, node, f"do $$ begin create role {name}; exception when duplicate_object then null; end $$; "
                               f"alter role {name} {rights} password '{cluster.secret(name)}'")  # fmt: skip
    if not run_sql(cluster, node, "select 1 from pg_database where datname = 'granary'"):
        run_sql(cluster, node, "create database granary")
    # The pooler asks for a login's verifier, by a function that tells nobody else.
    run_sql(cluster, node, (TEMPLATES / "pooler.sql").read_text(encoding="utf-8"), "granary")


def _filled(name: str, cluster: Cluster, node: str = NODES[0], readers: str = NODES[1]) -> str:
    values = {
        "root": str(cluster.root), "node": node, "port": str(cluster.node_port(node)),
        "pooler_port": str(cluster.pooler_port), "stanza": STANZA, "cipher": cluster.secret("repository"),
        "data": str(cluster.data(node)), "readers_port": str(cluster.node_port(readers)),
    }  # fmt: skip
    return Template((TEMPLATES / name).read_text(encoding="utf-8")).substitute(values)


def _conninfo(cluster: Cluster, node: str, user: str) -> str:
    return (
        f"host=localhost port={cluster.node_port(node)} user={user} sslmode=verify-full "
        f"sslrootcert={cluster.root}/tls/ca.crt"
    )


def _pooler_pid(cluster: Cluster) -> int:
    file = cluster.root / "run" / "pgbouncer.pid"
    if not file.exists():
        return 0
    pid = int(file.read_text(encoding="utf-8").strip() or 0)
    return pid if pid and Path(f"/proc/{pid}").exists() else 0


def _stop_pooler(cluster: Cluster) -> None:
    if pid := _pooler_pid(cluster):
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not Path(f"/proc/{pid}").exists(), "the pooler does not end")
