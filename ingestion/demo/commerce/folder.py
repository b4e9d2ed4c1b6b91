"""The simulated company's folder: its databases, its retail files and the simulator's state.

The shop, the accounts, the truth and the simulator's own state are SQLite files that one transaction writes, together
with the retail files that are due.
"""

from __future__ import annotations

import random
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from ingestion.demo.clock import DAY, UNIX_OFFSET, stamp
from ingestion.demo.keeping import Keeper, place_files, store_files, store_state

from .company import Batch, Company, from_state, to_state
from .retail import trade_day
from .shop_schema import TABLES, create_shop
from .story import live_day
from .truth_tables import create_truth, write_truth

_FLUSH_DAYS = 60  # rows wait for so many days in memory, so that a long simulation stays small
_STATE_VERSION = 1


def _prepare(connection: sqlite3.Connection, folder: Path) -> None:
    (folder / "retail").mkdir(exist_ok=True)
    place_files(connection, folder / "retail")
    _create_systems(folder)


def _create_systems(folder: Path) -> None:
    """Create the empty systems, where they are missing."""
    with closing(sqlite3.connect(folder / "shop.sqlite")) as shop:
        if not shop.execute("select 1 from sqlite_master where name = 'inventory_movements_changes'").fetchone():
            create_shop(shop, "sqlite")
        if not shop.execute("select 1 from simulated_clock").fetchone():
            shop.execute("insert into simulated_clock values (null)")
        shop.commit()
    with closing(sqlite3.connect(folder / "accounts.sqlite")) as accounts:
        accounts.execute(
            "create table if not exists records "
            "(number integer primary key, updated_at integer, copies integer, document text)"
        )
        accounts.execute("create index if not exists records_by_time on records (updated_at, number)")
        accounts.commit()
    with closing(sqlite3.connect(folder / "truth.sqlite")) as truth:
        create_truth(truth)
        truth.commit()


def _extend(connection: sqlite3.Connection, folder: Path, company: Company, days: int) -> None:
    """Simulate up to `days` days and commit them as one."""
    first = company.days
    for day in range(first, days):
        # Each day has its own random numbers, so that it comes out the same by whatever way it is reached.
        company.rng = random.Random(f"{company.seed}:{day}:shop")
        live_day(company, day)
        trade_day(company, random.Random(f"{company.seed}:{day}:retail"), day)
        company.days = day + 1
        if company.days % _FLUSH_DAYS == 0 and company.days < days:
            _write_shop(connection, company)
            print(f"demo: {company.days} of {days} days", file=sys.stderr)
    if company.days > first:
        _write_shop(connection, company)
        connection.execute("update shop.simulated_clock set now = ?", (stamp(days * DAY),))
        _write_accounts(connection, company)
        write_truth(connection, company)
        _write_state(connection, company)
    connection.execute("commit")
    place_files(connection, folder / "retail")
    company.batch = Batch()
    print(f"demo: {folder} holds {company.days} days, up to {stamp(company.days * DAY)} UTC", file=sys.stderr)


def _write_shop(connection: sqlite3.Connection, company: Company) -> None:
    """Write what the shop's application does, table by table: change tables have positions of their own."""
    execute = connection.execute
    for table, operations in company.batch.shop.items():
        columns = [name for name, _ in TABLES[table]]
        insert = f"insert into shop.{table} values ({', '.join('?' * len(columns))})"
        update = f"update shop.{table} set {', '.join(f'{name} = ?' for name in columns)} where id = ?"
        for operation, values in operations:
            if operation == "I":
                execute(insert, values)
            elif operation == "U":
                execute(update, values)
            else:
                execute("update shop.simulated_clock set now = ?", values[:1])
                execute(f"delete from shop.{table} where id = ?", values[1:])
        operations.clear()


def _write_accounts(connection: sqlite3.Connection, company: Company) -> None:
    accounts = (company.accounts[number] for number in company.batch.accounts)
    connection.executemany(
        "insert or replace into accounts.records values (?, ?, ?, ?)",
        ((a["number"], a["updated"], a["copies"], a["record"]) for a in accounts),
    )


def _write_state(connection: sqlite3.Connection, company: Company) -> None:
    files = ((name, content, at + UNIX_OFFSET) for name, (content, at) in company.batch.files.items())
    store_files(connection, files)
    store_state(connection, _STATE_VERSION, company.days, to_state(company))


_keeper = Keeper(
    version=_STATE_VERSION,
    databases=("shop", "accounts", "truth"),
    begin=lambda seed, scale: Company(seed=seed, scale=scale),
    from_state=from_state,
    prepare=_prepare,
    extend=_extend,
)
simulate, next_day, last_state = _keeper.simulate, _keeper.next_day, _keeper.last_state
