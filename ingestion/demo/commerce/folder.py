"""The simulated company's folder: its databases, its retail files and the simulator's state.

The shop, the accounts, the truth and the simulator's own state are SQLite files that one transaction writes, together
with the retail files that are due. Files are put into place after it has committed, from what it stored. So a kill
leaves either the day before, or everything of the new one, and the next command finishes the files.
"""

from __future__ import annotations

import os
import pickle
import random
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ingestion.demo import DemoError

from .clock import DAY, UNIX_OFFSET, stamp
from .company import Batch, Company, from_state, to_state
from .retail import trade_day
from .shop_schema import TABLES, create_shop
from .story import live_day
from .truth_tables import create_truth, write_truth

_FLUSH_DAYS = 60  # rows wait for so many days in memory, so that a long simulation stays small
_STATE_VERSION = 1


def simulate(folder: Path | str, days: int, seed: int = 7, scale: float = 1.0) -> None:
    """Create the company's systems up to `days` days, or extend those of the folder to that many.

    Nothing happens when they are there already. Raises DemoError when the folder belongs to another seed or scale,
    holds more days, or is something else.
    """
    if days < 1 or scale <= 0:
        raise DemoError(f"days must be at least 1 and scale above 0, but they are {days} and {scale}.")
    with _opened(Path(folder), create=True) as connection:
        company = _load(connection) or Company(seed=seed, scale=float(scale))
        if (company.seed, company.scale) != (seed, float(scale)):
            raise DemoError(
                f"{folder} was simulated with seed {company.seed} and scale {company.scale}, not {seed} and {scale}: "
                "ask for the same, or choose another folder."
            )
        if company.days > days:
            raise DemoError(f"{folder} holds {company.days} days already, more than {days}: choose another folder.")
        _extend(connection, Path(folder), company, days)


def next_day(folder: Path | str, days: int = 1) -> None:
    """Simulate `days` days more than the folder holds. Raises DemoError when it holds none."""
    if days < 1:
        raise DemoError(f"days must be at least 1, but they are {days}.")
    with _opened(Path(folder), create=False) as connection:
        company = _load(connection)
        if company is None:
            raise DemoError(
                f"{folder} holds no simulated days: run `python -m ingestion.demo simulate --folder {folder}` first."
            )
        _extend(connection, Path(folder), company, company.days + days)


def last_state(folder: Path | str) -> Company:
    """The company as of the folder's last day, all of its files in place. Raises DemoError when it holds none."""
    with _opened(Path(folder), create=False) as connection:
        company = _load(connection)
        connection.rollback()
    if company is None:
        raise DemoError(
            f"{folder} holds no simulated days: run `python -m ingestion.demo simulate --folder {folder}` first."
        )
    return company


@contextmanager
def _opened(folder: Path, create: bool) -> Iterator[sqlite3.Connection]:
    """The folder's databases on one connection, in a transaction that keeps other simulators out."""
    own = folder / "simulator.sqlite"
    if not own.exists():
        if not create:
            raise DemoError(
                f"{folder} is no folder of the demo: run `python -m ingestion.demo simulate --folder {folder}` first."
            )
        if folder.exists() and any(folder.iterdir()):
            raise DemoError(f"{folder} holds something else: choose a folder that is empty or does not exist yet.")
    (folder / "retail").mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(own, isolation_level=None, timeout=5)) as connection:
        for name in ("shop", "accounts", "truth"):
            connection.execute("attach database ? as " + name, (str(folder / f"{name}.sqlite"),))
        # Rollback journals: with them, and only with them, SQLite commits attached databases as one.
        for name in ("main", "shop", "accounts", "truth"):
            connection.execute(f"pragma {name}.synchronous = normal")
            connection.execute(f"pragma {name}.cache_size = -65536")
        _begin(connection, folder)
        connection.execute("create table if not exists state (version integer, days integer, content blob)")
        connection.execute(
            "create table if not exists files (name text primary key, content blob, modified_at integer)"
        )
        connection.execute("commit")
        _place_files(connection, folder / "retail")
        _create_systems(folder)
        _begin(connection, folder)
        yield connection
        if connection.in_transaction:
            connection.rollback()


def _begin(connection: sqlite3.Connection, folder: Path) -> None:
    try:
        connection.execute("begin immediate")
    except sqlite3.OperationalError as error:
        raise DemoError(f"{folder} is busy: another simulator is at work there; wait until it is done.") from error


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


def _load(connection: sqlite3.Connection) -> Company | None:
    row = connection.execute("select version, content from state").fetchone()
    if row is None:
        return None
    if row[0] != _STATE_VERSION:
        raise DemoError("The folder was simulated by another version of the demo: simulate into a new folder.")
    return from_state(pickle.loads(row[1]))


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
    _place_files(connection, folder / "retail")
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
    connection.executemany(
        "insert or replace into files values (?, ?, ?)",
        ((name, content, at + UNIX_OFFSET) for name, (content, at) in company.batch.files.items()),
    )
    connection.execute("delete from state")
    content = pickle.dumps(to_state(company), protocol=5)
    connection.execute("insert into state values (?, ?, ?)", (_STATE_VERSION, company.days, content))


def _place_files(connection: sqlite3.Connection, retail: Path) -> None:
    """Put the committed files into the retail folder, each with its time of delivery, whole or not at all."""
    rows = connection.execute("select name, content, modified_at from files order by name").fetchall()
    for name, content, modified_at in rows:
        incoming = retail.parent / f"{name}.incoming"
        incoming.write_bytes(content)
        os.utime(incoming, (modified_at, modified_at))
        incoming.replace(retail / name)
    if rows:
        connection.execute("delete from files")
