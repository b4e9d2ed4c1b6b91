"""The lock of a build is nobody else's: a login that may only read can't take it, nor a name that builds go by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from ingestion.destination import lock
from ingestion.destination.lock import LockError, build_lock, lock_holder
from ingestion.destination.target import Target
from tests.tiny.test_rights import ask
from tests.warehouses import connected, settings

pytestmark = pytest.mark.postgres


@pytest.fixture
def outsider(postgres_database: dict[str, str]) -> Iterator[dict[str, str]]:
    """A login that may connect, and has been granted nothing."""
    with closing(connected(postgres_database)) as owner:
        ask(owner, "drop role if exists outsider")
        ask(owner, "create role outsider login")
        yield {**postgres_database, "PGUSER": "outsider"}
        ask(owner, "drop role outsider")


def test_who_may_only_log_in_holds_up_no_build(
    postgres_database: dict[str, str], outsider: dict[str, str], tmp_path: Path
) -> None:
    target = Target("prod", "postgres", tmp_path / "warehouse")
    refused = pytest.raises(LockError, match="this login may not build: permission denied for database")
    with settings(outsider), refused, build_lock(Target("prod", "postgres", tmp_path / "first")):
        pass
    with settings(postgres_database), build_lock(target):
        pass
    with closing(connected({**outsider, "PGAPPNAME": "granary"})) as other:
        ask(other, "set application_name = 'granary'")
        # What builds locked once, in every way that its number can be given.
        ask(other, "select pg_advisory_lock(hashtext('granary'), hashtext('granary'))")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            ask(other, "begin; lock table granary.build_lock in access share mode")
        ask(other, "rollback")
        with settings(postgres_database), build_lock(target):
            assert (lock_holder(target) or "").startswith("process ")
            assert ask(other, "select 1") == [(1,)], "it is no session of a build, whatever its name"
        with (
            settings(outsider),
            pytest.raises(LockError, match="this login may not build: permission denied for schema granary"),
            build_lock(Target("prod", "postgres", tmp_path / "outside")),
        ):
            pass


def test_one_build_at_a_time_and_vacuum_goes_on(
    postgres_database: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "PATIENCE_SECONDS", 1.0)
    target, elsewhere = (Target("prod", "postgres", tmp_path / name) for name in ("one", "other"))
    with (
        closing(connected(postgres_database)) as other,
        settings({**postgres_database, "PGOPTIONS": "-c idle_in_transaction_session_timeout=300"}),
        build_lock(target),
    ):
        # For longer than a session that says nothing may last here.
        refused = pytest.raises(LockError, match=r"another build of this warehouse is running \(from the server itself")
        with refused, build_lock(elsewhere):
            pass
        assert (lock_holder(elsewhere) or "").startswith("from the server itself since ")
        ask(other, "create table rows as select * from generate_series(1, 1000) as n")
        ask(other, "delete from rows")
        ask(other, "vacuum rows")
        assert ask(other, "select pg_relation_size('rows')") == [(0,)], "no snapshot of the build keeps them"
        assert ask(other, "select count(*) from pg_stat_activity where backend_xmin is not null "
                          "and pid <> pg_backend_pid()") == [(0,)]  # fmt: skip
    with settings(postgres_database), build_lock(elsewhere):
        pass
