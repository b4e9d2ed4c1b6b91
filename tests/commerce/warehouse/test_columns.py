"""A new column is taken over: the project's files get it and stay as they are else, and a build brings its values."""

from __future__ import annotations

import difflib
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml

from ingestion.contract.contracts import Column
from ingestion.contract.reading import read_contract, source_names
from tests.project import layering
from warehouse.errors import BuildError
from warehouse.project.columns import new_column, take_column
from warehouse.project.edits import is_reserved

TABLES = [
    f"{source}.{table.name}"
    for source in source_names()
    for table in read_contract(source).tables
    if table.name != "files"
]


def take(root: Path, where: str, *models: str, track: bool = False, **more: str) -> list[str]:
    lines: list[str] = []
    asked = {"data_type": "text", "description": "What is new.", **more}
    take_column(root, new_column(where, **asked), lines.append, models, track)
    return lines


def texts(root: Path) -> dict[str, str]:
    files = [path for folder in ("models", "snapshots") for path in (root / folder).rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_bytes().decode() for path in files}


def changes(before: dict[str, str], after: dict[str, str]) -> dict[str, list[str]]:
    """The changed lines of each changed file, with + or - before them."""
    found = {}
    for name in before.keys() | after.keys():
        diff = difflib.unified_diff(before[name].splitlines(), after[name].splitlines(), n=0, lineterm="")
        if lines := [line for line in diff if not line.startswith(("---", "+++", "@@"))]:
            found[name] = lines
    return found


def columns(root: Path, source: str, table: str) -> tuple[Column, ...]:
    """A table's columns, as ingestion reads them."""
    return read_contract(source, root).table(table).columns


def assert_yaml_is_clean(root: Path, *folders: str) -> None:
    command = [sys.executable, "-m", "yamllint", "--strict", *(folders or ("models", "snapshots"))]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_lines_are_added_and_no_other_changes(project: Path) -> None:
    before = texts(project)
    said = take(
        project, "shop.orders.till", data_type="numeric(9, 0)", description="Number of the till.", alias="till_number"
    )
    assert changes(before, texts(project)) == {
        "models/staging/shop/_shop__sources.yml": [
            "+          - name: till",
            "+            data_type: numeric(9,0)",
            "+            description: Number of the till.",
            "+            config:",
            "+              meta:",
            "+                privacy: none",
        ],
        "models/staging/shop/stg_shop__orders.sql": ["+        till as till_number,"],
        "models/staging/shop/_shop__models.yml": [
            "+      - name: till_number",
            "+        description: Number of the till.",
        ],
    }
    sql = texts(project)["models/staging/shop/stg_shop__orders.sql"]
    assert "updated_at,\n        till as till_number,\n        _operation = 'D' as is_deleted,\n" in sql
    assert said == [
        "models/staging/shop/_shop__sources.yml: shop.orders has till, numeric(9,0), privacy: none",
        "models/staging/shop/stg_shop__orders.sql: selects till as till_number",
        "models/staging/shop/_shop__models.yml: describes till_number in stg_shop__orders",
        "records that were loaded before have null there",
        "next: make build",
    ]


def test_every_table_can_get_a_column(project: Path) -> None:
    for place in TABLES:
        source, table = place.split(".")
        has_history = (project / "snapshots" / source / f"snap_{source}__{table}.sql").exists()
        before, old = texts(project), columns(project, source, table)
        take(project, f"{place}.brand_new", f"stg_{source}__{table}", track=has_history, data_type="date")
        new = Column("brand_new", "date", plausible=("1970-01-01", "2069-12-31"))
        assert columns(project, source, table) == (*old, new)
        found = changes(before, texts(project))
        assert len(found) == (5 if has_history else 3), place
        for name, lines in found.items():
            assert {line[0] for line in lines} == {"+"} or "snap_" in name, name
    assert_yaml_is_clean(project)
    assert [line for rule in layering.RULES for line in rule(project)] == []


def test_later_lists_of_columns_get_it_too(project: Path) -> None:
    before = texts(project)
    said = take(
        project, "retail.sales_lines.gift_code", "stg_retail__sales_lines", "stg_retail__products", alias="gift_id"
    )
    found = changes(before, texts(project))
    assert found["models/staging/retail/stg_retail__products.sql"] == [
        "+        gift_code as gift_id,",
        "+        gift_id,",
    ]
    assert found["models/staging/retail/stg_retail__sales_lines.sql"] == ["+        gift_code as gift_id,"]
    assert len(found["models/staging/retail/_retail__models.yml"]) == 4
    assert any("snap_retail__products.sql does not follow it" in line for line in said)
    said = take(project, "retail.sales_lines.note", "stg_retail__customers")
    assert any("stg_retail__customers.sql has more than 60 lines now" in line for line in said)


@pytest.mark.parametrize(
    ("where", "model", "old", "new"),
    [
        (
            "shop.categories.brand_new",
            "stg_shop__categories",
            "check_cols=['parent_category_id', 'category_name', 'created_at'],",
            "check_cols=['parent_category_id', 'category_name', 'created_at', 'brand_new'],",
        ),
        (
            "retail.sales_lines.brand_new",
            "stg_retail__customers",
            "check_cols=['country_name'],",
            "check_cols=['country_name', 'brand_new'],",
        ),
        (
            "accounts.users.brand_new",
            "stg_accounts__users",
            "'created_at',\n        ],",
            "'created_at', 'brand_new',\n        ],",
        ),
        (
            "shop.products.a_column_with_quite_a_long_name",
            "stg_shop__products",
            "'is_active', 'created_at',\n        ],",
            "'is_active', 'created_at',\n            'a_column_with_quite_a_long_name',\n        ],",
        ),
        (
            "shop.users.a_column_with_quite_a_long_name_that_does_not_fit",
            "stg_shop__users",
            "check_cols=['email_token', 'first_name_token', 'last_name_token', 'status', 'created_at'],",
            "check_cols=[\n            'email_token', 'first_name_token', 'last_name_token', 'status', 'created_at',\n"
            "            'a_column_with_quite_a_long_name_that_does_not_fit',\n        ],",
        ),
    ],
)
def test_history_follows_it(project: Path, where: str, model: str, old: str, new: str) -> None:
    snapshot = f"snapshots/{where.split('.')[0]}/{model.replace('stg', 'snap')}.sql"
    before = texts(project)[snapshot]
    assert old in before
    take(project, where, model, track=True)
    assert texts(project)[snapshot] == before.replace(old, new)
    documents = snapshot.rsplit("/", 1)[0] + f"/_{where.split('.')[0]}__snapshots.yml"
    assert f"      - name: {where.split('.')[2]}\n        description: What is new.\n      - name: valid_from" in texts(
        project
    ).get(documents, "")


@pytest.mark.parametrize(
    "description",
    [
        "A colon: and # what looks like a comment.",
        "'Quoted', \"twice\", and a \\ besides.",
        "{{ doc('country_code') }}",
        "12",
        "- Größe, as a label writes it",
        "What takes more room than a line has, " * 8 + "# and so on: to its end.",
        "  in\n  several   lines\n",
    ],
)
def test_any_text_describes_a_column(project: Path, description: str) -> None:
    take(project, "shop.users.tier", track=True, description=description)
    after = texts(project)
    for name, kind in (("_shop__models", "models"), ("_shop__snapshots", "snapshots")):
        folder = "snapshots" if kind == "snapshots" else "models/staging"
        first = yaml.safe_load(after[f"{folder}/shop/{name}.yml"])[kind][0]
        described = {column["name"]: column["description"] for column in first["columns"]}
        assert described["tier"].strip() == " ".join(description.split())
    assert_yaml_is_clean(project, "models/staging/shop", "snapshots/shop")


@pytest.mark.postgres
def test_every_word_of_sql_is_known(postgres: dict[str, str]) -> None:
    with closing(psycopg2.connect(**postgres)) as connection, connection.cursor() as cursor:
        cursor.execute("select word from pg_get_keywords() where catcode in ('R', 'T')")
        words = [row[0] for row in cursor.fetchall()]
    assert [word for word in words if not is_reserved(word)] == []


def test_a_name_that_sql_needs_quoted(project: Path) -> None:
    with pytest.raises(BuildError, match="'order' is a word of SQL's own"):
        take(project, "shop.users.order")
    take(project, "shop.users.order", alias="order_rank")
    assert '\n        "order" as order_rank,\n' in texts(project)["models/staging/shop/stg_shop__users.sql"]


def test_what_was_taken_over_is_known(project: Path) -> None:
    take(project, "shop.users.tier")
    with pytest.raises(BuildError, match="has the column tier already"):
        take(project, "shop.users.tier")
    take(project, "shop.users.tier_2")


@pytest.mark.parametrize(
    ("where", "asked", "message"),
    [
        ("orders.till", {}, "names no column: say COLUMN=source.table.column"),
        ("", {}, "names no column"),
        ("till.orders.x", {}, "there is no source till: there are accounts, retail, shop"),
        ("shop.order.x", {}, "shop has no table order to take a column from: it has users, addresses"),
        ("shop.rejects.x", {}, "shop has no table rejects"),
        ("retail.files.x", {}, "retail has no table files to take a column from: it has sales_lines"),
        ("shop.orders.channel", {}, r"shop.orders has the column channel already: see models/staging/shop/_shop__"),
        ("shop.users.password_hash", {}, "is never to be read"),
        ("shop.orders.ChannelCode", {}, "'ChannelCode' is not snake_case"),
        ("shop.orders._operation", {}, "is not snake_case"),
        ("shop.orders.code", {"alias": "Code"}, "'Code' is not snake_case"),
        ("shop.orders.code", {"alias": "channel_id"}, "stg_shop__orders.sql: it has a column channel_id already; no f"),
        ("shop.orders.code", {"data_type": "varchar"}, "the type 'varchar' is not one of the contract's: say TYPE="),
        ("shop.orders.code", {"data_type": "numeric"}, "the type 'numeric' is not one of"),
        ("shop.orders.code", {"description": " \n"}, "shop.orders.code has no description"),
        ("shop.orders.code", {"privacy": "secret"}, "privacy 'secret' is unknown: say PRIVACY=none, direct_ident"),
        ("shop.orders.code", {"track": True}, "no snapshot reads stg_shop__orders"),
        ("shop.orders.code", {"models": ["stg_shop__users"]}, "stg_shop__users is no staging model of shop.orders"),
        (
            "retail.sales_lines.code",
            {},
            "has several staging models, stg_retail__customers, stg_retail__products, stg_retail__sales_lines: say",
        ),
    ],
)
def test_refusals_change_nothing(project: Path, where: str, asked: dict[str, Any], message: str) -> None:
    before = texts(project)
    models, asked = asked.get("models", ()), {name: value for name, value in asked.items() if name != "models"}
    with pytest.raises(BuildError, match=message):
        take(project, where, *models, **asked)
    assert texts(project) == before


def replaced(path: str, old: str, new: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        text = (root / path).read_text(encoding="utf-8")
        assert old in text
        (root / path).write_text(text.replace(old, new), encoding="utf-8")

    return change


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            replaced("models/staging/shop/stg_shop__users.sql", "is_deleted", "gone"),
            "stg_shop__users.sql: it has no list",
        ),
        (
            replaced("models/staging/shop/_shop__models.yml", "stg_shop__users", "x"),
            "models.yml: it lists no columns of",
        ),
        (replaced("models/staging/shop/_shop__models.yml", "models:", "models: ["), "_shop__models.yml: while parsing"),
        (replaced("snapshots/shop/snap_shop__users.sql", "check_cols=[", "check_cols=f["), "it has no check_cols with"),
        (lambda root: (root / "snapshots/shop/_shop__snapshots.yml").unlink(), "_shop__snapshots.yml: .* No such file"),
    ],
)
def test_files_of_another_form_change_nothing(project: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(project)
    before = texts(project)
    with pytest.raises(BuildError, match=rf"(?s){message}.*no file was changed; take the column over by hand"):
        take(project, "shop.users.tier", track=True)
    assert texts(project) == before


def test_a_file_that_cannot_be_written_changes_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, write = texts(project), Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name == "snap_shop__users.sql":
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(BuildError, match=r"No space left on device.*no file was changed"):
        take(project, "shop.users.tier", track=True)
    assert texts(project) == before
