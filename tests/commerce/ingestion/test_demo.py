"""The simulated company: the same by any path, in agreement with itself, and as its truth says."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import itertools
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ingestion.demo.commerce import DemoError, folder, next_day, simulate
from ingestion.demo.commerce.company import to_state
from ingestion.demo.commerce.folder import last_state
from ingestion.demo.commerce.shop_schema import TABLES
from ingestion.demo.commerce.truth import HISTORY_COLUMNS

ROOT = Path(__file__).resolve().parents[3]
SCALE = 0.1
SIMULATE = [sys.executable, "-m", "ingestion.demo", "simulate", "--domain", "commerce"]
STATUSES = {"active", "inactive", "suspended"}
LONDON = ZoneInfo("Europe/London")


def rows(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def records(path: Path, query: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(query)]


def content(root: Path) -> dict[str, Any]:
    """Everything that the company's systems and its truth hold; only the order within the truth is free."""
    result: dict[str, Any] = {}
    for name in ("shop", "accounts", "truth"):
        path = root / f"{name}.sqlite"
        for (table,) in rows(path, "select name from sqlite_master where type = 'table' and name not like 'sqlite%'"):
            found = [repr(row) for row in rows(path, f"select * from {table} order by 1")]
            result[f"{name}.{table}"] = sorted(found) if name == "truth" else found
    for path in sorted((root / "retail").iterdir()):
        result[path.name] = (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
    return result


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo") / "company"
    simulate(root, 120, scale=SCALE)
    return root


@pytest.fixture(scope="module")
def forty_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo") / "forty"
    simulate(root, 40, scale=SCALE)
    return root


def test_same_by_any_path(forty_days: Path, tmp_path: Path) -> None:
    simulate(tmp_path / "c", 25, scale=SCALE)
    for _ in range(15):
        next_day(tmp_path / "c")
    assert content(tmp_path / "c") == content(forty_days)
    assert to_state(last_state(tmp_path / "c")) == to_state(last_state(forty_days))


def test_same_in_another_process(forty_days: Path, tmp_path: Path) -> None:
    """String hashing differs between processes; the company must not."""
    command = [*SIMULATE, "--days", "40", "--scale", str(SCALE)]
    environment = os.environ | {"PYTHONHASHSEED": "123", "TZ": "Asia/Tokyo"}
    subprocess.run([*command, "--folder", str(tmp_path / "c")], check=True, env=environment, cwd=ROOT)
    assert content(tmp_path / "c") == content(forty_days)


def test_extension_is_what_was_there_before(forty_days: Path, company: Path) -> None:
    """A longer company's change tables begin with the shorter one's."""
    for table in TABLES:
        short = rows(forty_days / "shop.sqlite", f"select * from {table}_changes order by position")
        assert short
        assert rows(company / "shop.sqlite", f"select * from {table}_changes order by position")[: len(short)] == short


def test_simulating_again_changes_nothing(forty_days: Path) -> None:
    before = content(forty_days)
    simulate(forty_days, 40, scale=SCALE)
    assert content(forty_days) == before


def test_refusals(forty_days: Path, tmp_path: Path) -> None:
    for arguments, message in (
        ({"days": 50, "scale": 0.2}, "scale"),
        ({"days": 50, "scale": SCALE, "seed": 8}, "seed"),
        ({"days": 39, "scale": SCALE}, "40 days already"),
        ({"days": 0}, "at least 1"),
    ):
        with pytest.raises(DemoError, match=message):
            simulate(forty_days, **arguments)
    with pytest.raises(DemoError, match="no folder of the demo"):
        next_day(tmp_path / "missing")
    (tmp_path / "letter.txt").write_text("not ours")
    with pytest.raises(DemoError, match="something else"):
        simulate(tmp_path, 3)


@pytest.mark.parametrize("step", ["write_truth", "_write_state", "place_files"])
def test_crash_in_an_extension(step: str, tmp_path: Path, forty_days: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the commit nothing has happened; after it, the next command puts the files into place."""
    root = tmp_path / "c"
    simulate(root, 30, scale=SCALE)
    before = content(root)

    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        original = folder.place_files
        calls = itertools.count()
        # The first call finishes an earlier run's files; the crash comes after this run's commit.
        patch.setattr(
            folder,
            step,
            (lambda *args: crash() if next(calls) else original(*args)) if step == "place_files" else crash,
        )
        with pytest.raises(KeyboardInterrupt):
            simulate(root, 40, scale=SCALE)
    if step != "place_files":
        assert content(root) == before
    simulate(root, 40, scale=SCALE)
    assert content(root) == content(forty_days)


def test_kill_while_creating(tmp_path: Path, forty_days: Path) -> None:
    command = [*SIMULATE, "--days", "700", "--scale", str(SCALE)]
    with subprocess.Popen([*command, "--folder", str(tmp_path / "c")], stderr=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stderr
        assert b"60 of 700" in process.stderr.readline()
        process.send_signal(signal.SIGKILL)
    simulate(tmp_path / "c", 40, scale=SCALE)
    assert content(tmp_path / "c") == content(forty_days)


# --- the shop ------------------------------------------------------------------------------------------------------


def changes(root: Path, table: str) -> list[dict[str, Any]]:
    return records(root / "shop.sqlite", f"select * from {table}_changes order by position")


def test_change_tables_replay_to_the_tables(company: Path) -> None:
    for table in TABLES:
        current: dict[Any, dict[str, Any]] = {}
        times = []
        for change in changes(company, table):
            times.append(change["changed_at"])
            values = {key: value for key, value in change.items() if key not in ("position", "operation", "changed_at")}
            if change["operation"] == "D":
                assert current.pop(change["id"]) == values
            else:
                assert (change["operation"] == "U") == (change["id"] in current)
                assert change["changed_at"] == change["updated_at"]
                current[change["id"]] = values
        expected = {row["id"]: row for row in records(company / "shop.sqlite", f"select * from {table}")}
        for row in expected.values():
            row.pop("password_hash", None)
        assert current == expected
        assert times == sorted(times), "positions are in the order of time"


def money(value: Any) -> Decimal:
    return Decimal(str(value))


def test_orders_reconcile(company: Path) -> None:
    lines = defaultdict(list)
    for line in records(company / "shop.sqlite", "select * from order_items"):
        line["quantity"] = 2 if line["quantity"] == "two" else line["quantity"]
        lines[line["order_id"]].append(line)
    payments = defaultdict(list)
    for payment in records(company / "shop.sqlite", "select * from payments"):
        payments[payment["order_id"]].append(payment)
    refunds = defaultdict(list)
    for refund in records(company / "shop.sqlite", "select * from refunds"):
        refunds[refund["payment_id"]].append(money(refund["amount"]))
    late = 0
    for order in records(company / "shop.sqlite", "select * from orders"):
        original = [line for line in lines[order["id"]] if line["kind"] in ("sale", "service")]
        reversed_ = [line for line in lines[order["id"]] if line["kind"] in ("return", "cancellation")]
        late += any(line["created_at"] > order["placed_at"] for line in original)
        assert len(original) + len(reversed_) == len(lines[order["id"]])
        if order["placed_at"] < "2024-04-29":  # the last line of a younger order may still be missing
            sums = [sum((money(line[c]) for line in original), Decimal(0)) for c in ("discount_amount", "tax_amount")]
            subtotal = sum((line["quantity"] * money(line["unit_price_amount"]) for line in original), Decimal(0))
            assert [money(order["subtotal_amount"]), money(order["discount_amount"]), money(order["tax_amount"])] == [
                subtotal,
                *sums,
            ]
        total = (
            money(order["subtotal_amount"])
            - money(order["discount_amount"])
            + money(order["tax_amount"])
            + money(order["shipping_amount"])
        )
        assert money(order["total_amount"]) == total
        by_id = {line["id"]: line for line in original}
        taken_back: Counter[int] = Counter()
        for line in reversed_:
            assert line["quantity"] < 0
            assert money(line["discount_amount"]) <= 0
            assert money(line["tax_amount"]) <= 0
            taken_back[line["original_item_id"]] -= line["quantity"]
        assert all(count <= by_id[item]["quantity"] for item, count in taken_back.items())
        if order["status"] == "cancelled":
            assert taken_back == {item: line["quantity"] for item, line in by_id.items()}
        captured = sum((money(p["amount"]) for p in payments[order["id"]] if p["status"] == "captured"), Decimal(0))
        assert captured <= total
        assert order["paid_at"] is None or captured == total
        for payment in payments[order["id"]]:
            assert (payment["paid_at"] is not None) == (payment["status"] == "captured")
            assert sum(refunds[payment["id"]], Decimal(0)) <= (
                money(payment["amount"]) if payment["status"] == "captured" else 0
            )
    assert late
    assert any(change["operation"] == "D" for change in changes(company, "order_items"))


def test_stock_reconciles(company: Path) -> None:
    stock: Counter[int] = Counter()
    daily = {}
    for movement in records(company / "shop.sqlite", "select * from inventory_movements order by moved_at, id"):
        if movement["product_id"] is None:
            continue
        product_id = movement["product_id"]
        stock[product_id] += movement["quantity"]
        assert stock[product_id] == movement["stock_after"] >= 0
        daily[(product_id, movement["moved_at"][:10])] = stock[product_id]
    assert any(movement["stock_after"] == 0 for movement in changes(company, "inventory_movements")), "a stock-out"
    assert dict(rows(company / "truth.sqlite", "select * from truth_stock")) == dict(stock)
    assert {(p, d): q for p, d, q in rows(company / "truth.sqlite", "select * from truth_stock_daily")} == daily


def test_each_user_has_one_default_address(company: Path) -> None:
    found = rows(
        company / "shop.sqlite",
        "select users.id, sum(is_default and kind = 'shipping') from users "
        "join addresses on user_id = users.id group by 1",
    )
    assert len(found) == rows(company / "shop.sqlite", "select count(*) from users")[0][0]
    assert {count for _, count in found} == {1}


# --- the truth -----------------------------------------------------------------------------------------------------


def is_good(table: str, row: dict[str, Any]) -> bool:
    if table == "users":
        return row["status"] in STATUSES and row["email"].count("@") == 1 and " " not in row["email"]
    if table == "products":
        return bool(row["price_amount"] >= 0)
    if table == "order_items":
        return isinstance(row["quantity"], int)
    return table != "inventory_movements" or row["product_id"] is not None


def fold(table: str, log: list[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    """Intervals of good states from a change table, independently of the simulator's bookkeeping."""
    last_of_second: dict[tuple[Any, str], tuple[int, tuple[Any, ...]]] = {}
    known: dict[Any, tuple[Any, ...]] = {}
    for change in log:
        key = change["id"]
        if change["operation"] == "D":
            if key in known:
                last_of_second[(key, change["changed_at"])] = (1, known[key])
        elif is_good(table, change):
            known[key] = tuple(f"{change[c]:.2f}" if c == "price_amount" else change[c] for c in HISTORY_COLUMNS[table])
            last_of_second[(key, change["changed_at"])] = (0, known[key])
    by_key = sorted(last_of_second.items(), key=lambda item: (str(item[0][0]), item[0][1]))
    for key, group in itertools.groupby(by_key, key=lambda item: item[0][0]):
        merged = [next(states) for _, states in itertools.groupby(group, key=lambda item: item[1])]
        for (place, state), follower in itertools.zip_longest(merged, merged[1:]):
            yield (key, place[1], follower[0][1] if follower else "9999-12-31 00:00:00", state[0], *state[1])


@pytest.mark.parametrize("table", HISTORY_COLUMNS)
def test_truth_intervals(company: Path, table: str) -> None:
    expected = sorted(fold(table, changes(company, table)), key=repr)
    assert sorted(rows(company / "truth.sqlite", f"select * from truth_{table}"), key=repr) == expected
    if table == "users":
        assert {row[3] for row in expected} == {0, 1}


def test_truth_rejects_of_the_shop(company: Path) -> None:
    expected = []
    for table in TABLES:
        open_: dict[Any, list[list[Any]]] = defaultdict(list)
        for change in changes(company, table):
            if is_good(table, change):
                for reject in open_.pop(change["id"], []):
                    reject[3] = change["changed_at"]
            else:
                reject = [table, str(change["id"]), change["changed_at"], None]
                open_[change["id"]].append(reject)
                expected.append(reject)
    found = rows(
        company / "truth.sqlite",
        "select resource, record_id, broken_at, mended_at from truth_rejects where source = 'shop'",
    )
    assert sorted(found, key=repr) == sorted((tuple(reject) for reject in expected), key=repr)
    assert {row[0] for row in found} == {"users", "products", "order_items", "inventory_movements"}
    assert any(row[3] for row in found)
    assert not all(row[3] for row in found)


def london_date(stamp: str) -> str:
    return str(datetime.fromisoformat(stamp).replace(tzinfo=UTC).astimezone(LONDON).date())


def test_truth_of_the_shops_days(company: Path) -> None:
    sales: dict[Any, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 5)
    query = "select order_items.*, placed_at, currency_code from order_items join orders on orders.id = order_id"
    for line in records(company / "shop.sqlite", query):
        if not isinstance(line["quantity"], int):
            continue
        reversal = line["kind"] in ("return", "cancellation")
        key = (london_date(line["created_at" if reversal else "placed_at"]), line["currency_code"], line["kind"])
        gross = line["quantity"] * money(line["unit_price_amount"])
        measures: tuple[Any, ...] = (
            1,
            line["quantity"],
            gross,
            money(line["discount_amount"]),
            money(line["tax_amount"]),
        )
        sales[key] = [a + b for a, b in zip(sales[key], measures, strict=True)]
    found = rows(company / "truth.sqlite", "select * from truth_sales_daily where source = 'shop'")
    assert {tuple(row[1:4]): [money(value) for value in row[4:]] for row in found} == sales

    for table, time, group, where in (
        ("payments", "paid_at", ("method", "currency_code"), "status = 'captured'"),
        ("refunds", "refunded_at", ("currency_code",), "true"),
    ):
        totals: dict[Any, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 2)
        for record in records(company / "shop.sqlite", f"select * from {table} where {where}"):
            key = (london_date(record[time]), *(record[column] for column in group))
            totals[key] = [totals[key][0] + 1, totals[key][1] + money(record["amount"])]
        found = rows(company / "truth.sqlite", f"select * from truth_{table}_daily")
        assert {tuple(row[:-2]): [money(value) for value in row[-2:]] for row in found} == totals
    assert any(
        london_date(row[0]) != row[0][:10] for row in rows(company / "shop.sqlite", "select placed_at from orders")
    )


def test_truth_orders(company: Path) -> None:
    names = "id, status, user_id, channel, currency_code, placed_at, paid_at, shipped_at, delivered_at, cancelled_at, "
    query = (
        f"select {names} subtotal_amount, discount_amount, tax_amount, shipping_amount, total_amount, "
        "(select coalesce(sum(amount), 0) from payments where order_id = orders.id and status = 'captured'), "
        "(select coalesce(sum(amount), 0) from refunds where order_id = orders.id) from orders"
    )
    expected = {
        row[0]: (*row[:10], *(f"{value:.2f}" for value in row[10:])) for row in rows(company / "shop.sqlite", query)
    }
    assert {row[0]: row for row in rows(company / "truth.sqlite", "select * from truth_orders")} == expected


def test_truth_counts(company: Path) -> None:
    counts = {tuple(row[:2]): row[2] for row in rows(company / "truth.sqlite", "select * from truth_counts")}
    for table in TABLES:
        for name in (table, f"{table}_changes"):
            assert counts[("shop", name)] == rows(company / "shop.sqlite", f"select count(*) from {name}")[0][0]
    assert counts[("retail", "files")] == len(list((company / "retail").iterdir()))
    assert counts[("retail", "sales_lines")] == sum(len(lines) for lines in retail_files(company).values())


def test_one_day(tmp_path: Path) -> None:
    """What is empty is counted, too: the first day is a holiday, and nobody has sent anything back."""
    simulate(tmp_path / "c", 1, scale=0.01)
    test_truth_counts(tmp_path / "c")
    assert rows(tmp_path / "c" / "truth.sqlite", "select records from truth_counts where source = 'retail'") == [
        (0,),
        (0,),
    ]


# --- retail --------------------------------------------------------------------------------------------------------


def retail_files(root: Path) -> dict[str, list[dict[str, str]]]:
    """The lines of each readable file, by day."""
    result = {}
    for path in sorted((root / "retail").iterdir()):
        try:
            data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        except EOFError:
            continue
        result[path.name[:10]] = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    return result


def is_broken(line: dict[str, str]) -> bool:
    return not line["InvoiceNo"] or not line["Quantity"].lstrip("-").isdigit() or line["InvoiceDate"][5:10] == "02-30"


def test_truth_of_retail(company: Path) -> None:
    sales: dict[Any, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 3)
    descriptions: dict[Any, Counter[str]] = defaultdict(Counter)
    broken = 0
    for day, lines in retail_files(company).items():
        for line in lines:
            if is_broken(line):
                broken += 1
                continue
            assert line["InvoiceDate"][:10] == day
            quantity, price = int(line["Quantity"]), Decimal(line["UnitPrice"])
            key = (day, "cancellation" if line["InvoiceNo"].startswith("C") else "line")
            measures: tuple[Any, ...] = (1, quantity, quantity * price)
            sales[key] = [a + b for a, b in zip(sales[key], measures, strict=True)]
            if price > 0:
                descriptions[(line["StockCode"], day)][line["Description"]] += 1
    found = rows(company / "truth.sqlite", "select * from truth_sales_daily where source = 'retail'")
    assert {(row[1], row[3]): [money(value) for value in row[4:7]] for row in found} == sales
    ranked = {key: counter.most_common(2) for key, counter in descriptions.items()}
    assert all(len(top) == 1 or top[0][1] > top[1][1] for top in ranked.values())
    found = rows(company / "truth.sqlite", "select stock_code, day, description from truth_retail_products")
    assert {(code, day): text for code, day, text in found} == {key: top[0][0] for key, top in ranked.items()}
    assert any(len(top) > 1 for top in ranked.values()), "a clerk's note"
    assert broken == len(rows(company / "truth.sqlite", "select 1 from truth_rejects where source = 'retail'")) > 0


def test_retail_deliveries(company: Path, tmp_path: Path) -> None:
    """Late files, a file that comes truncated first, and files replaced days later."""
    seen: dict[str, set[float]] = defaultdict(set)
    unreadable = set()
    simulate(tmp_path / "c", 1, scale=0.02)
    for _ in range(30):
        next_day(tmp_path / "c")
        readable = retail_files(tmp_path / "c")
        for path in (tmp_path / "c" / "retail").iterdir():
            seen[path.name[:10]].add(path.stat().st_mtime)
            if path.name[:10] not in readable:
                unreadable.add(path.name[:10])
    waits = {
        day: [time - datetime.fromisoformat(f"{day}T00:00:00Z").timestamp() for time in times]
        for day, times in seen.items()
    }
    assert any(len(times) == 1 and times[0] > 86_400 for times in waits.values()), "late"
    assert any(len(times) == 2 and max(times) > 3 * 86_400 for times in waits.values()), "corrected"
    assert [len(waits[day]) for day in unreadable] == [2], "truncated, then whole"
    assert {path.suffix for path in (company / "retail").iterdir()} == {".csv", ".gz"}
    assert all(path.stat().st_mtime_ns % 1_000_000_000 == 0 for path in (company / "retail").iterdir())
