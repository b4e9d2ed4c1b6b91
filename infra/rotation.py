"""New passwords, certificates and repository keys in the place of old ones, while everything runs."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from datetime import UTC, datetime

from infra.certificates import make_certificates
from infra.cluster import (
    Cluster,
    follow_by,
    pgbackrest,
    point_pooler,
    primary_of,
    run_sql,
    write_configuration,
)
from infra.drills import backup
from infra.machine import own, wait_for, write
from infra.records import Say, audited
from warehouse.errors import BuildError


def rotate(cluster: Cluster, what: str, say: Say) -> None:
    """Replace one kind of secret, see that everything works with the new one, and enter it in the audit.

    Args:
        cluster: which one; both nodes and the pooler run.
        what: one of `ROTATED`.
        say: takes lines of progress.

    Raises:
        BuildError: there is no such secret, or something doesn't work with the new one.
    """
    if what not in ROTATED:
        raise BuildError(f"there is no key {what}: say KEY={', KEY='.join(ROTATED)}")
    ROTATED[what](cluster, say)
    audited(cluster, primary_of(cluster), "rotation", {"rotated": what})


def _passwords(cluster: Cluster, say: Say) -> None:
    primary = primary_of(cluster)
    for role, name in (("postgres", "superuser"), ("replicator", "replicator"), ("pooler", "pooler")):
        password = secrets.token_urlsafe(32)
        run_sql(cluster, primary, f"alter role {role} password '{password}'")
        write(cluster.root / "secrets" / name, password + "\n")
    write_configuration(cluster)
    follow_by(cluster, primary, cluster.other(primary))
    _reconnect(cluster)
    say("the superuser's, the replica's and the pooler's passwords are new; export `make -s infra-env` again")


def _certificates(cluster: Cluster, say: Say) -> None:
    before = cluster.root / f"tls.before_{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    shutil.copytree(cluster.root / "tls", before)
    before.chmod(0o700)
    for file in (cluster.root / "tls").iterdir():
        file.unlink()
    make_certificates(cluster.root / "tls")
    _reconnect(cluster)
    say(f"the authority and the server's certificate are new; give clients {cluster.root}/tls/ca.crt")
    say(f"the old ones are in {before}: delete them")


def _repository(cluster: Cluster, say: Say) -> None:
    # A repository is encrypted with one key for its life: the new key gets a new one.
    old = cluster.root / "repository"
    kept = old.with_name(f"repository.before_{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    old.rename(kept)
    shutil.copy2(cluster.root / "secrets" / "repository", kept / "key")
    old.mkdir(mode=0o700)
    own(old)
    write(cluster.root / "secrets" / "repository", secrets.token_urlsafe(32) + "\n")
    write_configuration(cluster)
    pgbackrest(cluster, "stanza-create")
    backup(cluster, "full", say)
    say(f"backups are encrypted with a new key; the old ones, and their key, are in {kept}: delete it when they expire")


def _reconnect(cluster: Cluster) -> None:
    """Have nodes and pooler read their settings, and the replica connect anew, which must succeed."""
    primary = primary_of(cluster)
    for node in (primary, cluster.other(primary)):
        run_sql(cluster, node, "select pg_reload_conf()")
    point_pooler(cluster, primary)
    old = run_sql(cluster, primary, "select pid from pg_stat_replication")
    if old:
        run_sql(cluster, primary, f"select pg_terminate_backend({old})")
    anew = f"select 1 from pg_stat_replication where sync_state = 'sync' and pid not in ({old or 0})"
    wait_for(
        lambda: run_sql(cluster, primary, anew) == "1",
        f"the replica does not follow with the new secret; see {cluster.root / 'log'}",
    )


ROTATED: dict[str, Callable[[Cluster, Say], None]] = {
    "passwords": _passwords,
    "certificates": _certificates,
    "repository": _repository,
}
