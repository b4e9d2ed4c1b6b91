"""Text is folded, keyed and hashed in one way, by the macros on every engine and by the contract pass."""

from __future__ import annotations

import hashlib
import random
import re
import unicodedata
import uuid
from pathlib import Path

import duckdb
import pytest

from ingestion.sql import folded, literal
from tests.warehouse.made_up_history import MadeUpHistory

# Every white space of Unicode, the zero-width space and the byte order mark.
BLANKS = "".join(
    chr(code) for code in range(0x10000)
    if unicodedata.category(chr(code)) == "Zs" or code in (9, 10, 11, 12, 13, 0x85, 0x2028, 0x2029, 0x200B, 0xFEFF)
)  # fmt: skip
LETTERS = "aBc_Z9-.|\\=~ '\"%ßéÉİıſ\u212a\u0301Ω中😀"


def ascii_cased(text: str, method: str) -> str:
    return "".join(getattr(each, method)() if each.isascii() else each for each in text)


def drawn(number: int) -> list[str]:
    """Texts of letters that engines fold differently, with blanks of any kind around and within."""
    chance = random.Random(number)
    pieces = ["", *BLANKS, *LETTERS, "|", "\\", "shipped", "GBP", "A1"]
    return ["".join(chance.choices(pieces, k=chance.randrange(0, 8))) for _ in range(600)] + [
        "|",
        "\\|",
        "\\",
        "=|~",
        "",
    ]


@pytest.mark.parametrize("engine", ["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_text_is_the_same_on_every_engine(request: pytest.FixtureRequest, tmp_path: Path, engine: str) -> None:
    postgres = None if engine == "duckdb" else request.getfixturevalue("new_postgres_database")()
    log, texts = MadeUpHistory(tmp_path, postgres), drawn(1)
    log.run(
        "insert into log (item, label, shop) values "
        + ", ".join(f"({n}, {literal(text)}, {literal(texts[n - 1])})" for n, text in enumerate(texts))
    )
    rows = log.model(
        "select item, {{ trimmed('label') }} as trimmed, {{ folded('label') }} as folded, "
        "{{ folded_up('label') }} as up, {{ collapsed('label') }} as collapsed, "
        "cast({{ surrogate_key([\"'s'\", 'shop', 'label']) }} as varchar) as key, "
        "{{ row_hash(['shop', 'label']) }} as hash from {{ ref('stg_log') }}"
    )
    found = {row[0]: row[1:] for row in rows}

    def part(text: str) -> str:
        return text.replace("\\", "\\\\").replace("|", "\\|")

    def md5(text: str) -> str:
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    for number, text in enumerate(texts):
        other, bare = texts[number - 1], text.strip(BLANKS)
        assert found[number] == (
            bare or None,
            ascii_cased(bare, "lower") or None,
            ascii_cased(bare, "upper") or None,
            re.sub(f"[{re.escape(BLANKS)}]+", " ", text).strip(" ") or None,
            str(uuid.UUID(md5(f"s|{part(other)}|{part(text)}"))),
            md5(f"={part(other)}|={part(text)}"),
        ), repr(text)


def test_the_contract_folds_as_the_macros_do() -> None:
    with duckdb.connect() as connection:
        for text in drawn(2):
            (found,) = connection.execute(f"select {folded(literal(text))}").fetchone() or (0,)
            assert found == (ascii_cased(text.strip(BLANKS), "lower") or None), repr(text)


def test_no_two_lists_of_parts_have_one_key(tmp_path: Path) -> None:
    """Parts that hold the separator, or what it is escaped by."""
    chance, log = random.Random(3), MadeUpHistory(tmp_path, None)
    pairs = {("".join(chance.choices("|\\=~a", k=3)), "".join(chance.choices("|\\=~a", k=3))) for _ in range(2000)}
    log.run(
        "insert into log (label, shop) values "
        + ", ".join(f"({literal(one)}, {literal(other)})" for one, other in sorted(pairs))
    )
    (row,) = log.model(
        "select count(*), count(distinct {{ surrogate_key(['label', 'shop']) }}), "
        "count(distinct {{ row_hash(['label', 'shop']) }}) from {{ ref('stg_log') }}"
    )
    assert row == (len(pairs),) * 3 and len(pairs) > 1000
