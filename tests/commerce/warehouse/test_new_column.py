"""A column that a shop's database got: reported, taken over on a copy of the project, built, on both engines."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingestion.demo.commerce import simulate
from tests.warehouses import SETTINGS, connected

TAKE = ("take-column", "shop.users.tier", "--type", "bigint", "--as", "tier_level", "--track", "--description")
HISTORY = "+snap_shop__users"  # as dbt says it: the snapshot and what it reads


class Copy:
    """A copy of the project, with a shop of its own to load from and a warehouse on one engine."""

    def __init__(self, root: Path, shop: Path, engine: dict[str, str]):
        self.root, self.engine, self.warehouse = root, engine, root / "data"
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
        # Unit tests know nothing of the data.
        faster = {"DBT_WRITE_JSON": "false", "DBT_EXCLUDE_RESOURCE_TYPES": "unit_test"}
        self.environment |= {"SOURCES__SHOP__CREDENTIALS": f"sqlite:///{shop}", "TARGET": "dev", **faster, **engine}

    def run(self, *words: str) -> str:
        """Run a command of the copy's own. Returns what it says; it has to succeed."""
        result = subprocess.run(
            [sys.executable, "-m", "warehouse", *words],
            cwd=self.root, env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        if not self.engine:
            with duckdb.connect(str(self.warehouse / "build.duckdb"), read_only=True) as connection:
                return connection.execute(query).fetchall()
        with closing(connected(self.engine)) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.battery])])
def copy(request: pytest.FixtureRequest, project: Path, tmp_path: Path) -> Copy:
    simulate(tmp_path / "company", 4, scale=0.05)
    engine = {} if request.param == "duckdb" else {**request.getfixturevalue("postgres_database"), "TARGET": "prod"}
    return Copy(project, tmp_path / "company" / "shop.sqlite", engine)


def grow(shop: Path) -> None:
    """The shop's users and their changes get a column. From now on the test writes the changes itself."""
    with closing(sqlite3.connect(shop)) as connection:
        for word in ("insert", "update", "delete"):
            connection.execute(f"drop trigger users_after_{word}")
        connection.execute("alter table users add column tier integer")
        connection.execute("alter table users_changes add column tier integer")
        connection.commit()


def promote(shop: Path) -> str:
    """A user, the first, gets a value in the new column and changes in nothing else. Returns their id."""
    with closing(sqlite3.connect(shop)) as connection:
        (user,) = connection.execute("select min(id) from users").fetchone()
        connection.execute("update users set tier = 3, updated_at = '2024-02-01 00:00:00' where id = ?", [user])
        columns = [row[1] for row in connection.execute("pragma table_info(users_changes)").fetchall()][3:]
        listed = ", ".join(columns)
        connection.execute(
            f"insert into users_changes (operation, changed_at, {listed}) "
            f"select 'U', updated_at, {listed} from users where id = ?", [user],
        )  # fmt: skip
        connection.commit()
    return str(user)


@pytest.mark.slow
def test_a_new_column_is_taken_over(copy: Copy, tmp_path: Path) -> None:
    shop = tmp_path / "company" / "shop.sqlite"
    grow(shop)
    with pytest.raises(AssertionError, match="shop has no column teir in its table users: it has id, email, "):
        copy.run("take-column", "shop.users.teir", "--type", "bigint", "--description", "How dear.")
    note = "note: shop: users has a new column tier, which its contract doesn't know"
    assert note in copy.run("build", "--select", HISTORY)
    before = copy.ask("select count(*) from snapshots.snap_shop__users")

    said = copy.run(*TAKE, "How dear the user is: 1 to 3.")
    assert said.endswith("next: make build\n")
    # The next load brings no row of the table, and yet raw has the column.
    assert note not in copy.run("build", "--select", HISTORY)
    assert copy.ask("select count(tier_level) from staging.stg_shop__users") == [(0,)]
    assert copy.ask("select count(*) from snapshots.snap_shop__users") == before

    user = promote(shop)
    # What reads the snapshot still does.
    copy.run("build", "--select", HISTORY if copy.engine else "+dim_customers")
    values = "select tier_level, valid_at from staging.stg_shop__users where tier_level is not null"
    assert [(value, str(moment)) for value, moment in copy.ask(values)] == [(3, "2024-02-01 00:00:00")]
    history = copy.ask(
        f"select tier_level, is_current from snapshots.snap_shop__users where user_id = '{user}' order by valid_from"
    )
    assert len(history) > 1 and history[-1] == (3, True) and set(history[:-1]) == {(None, False)}
    assert copy.ask("select count(*) from snapshots.snap_shop__users where tier_level is not null") == [(1,)]
