"""Who withdraws doesn't come back: a rollback to a generation that still shows them is refused, on both engines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ingestion.destination.target import current_target
from tests.tiny.club import Club
from tests.tiny.conftest import EVERYWHERE
from warehouse.build.build import roll_back_build
from warehouse.errors import BuildError

_ALLOWED = """{{ config(materialized='table') }}
-- Members of the tier gold want to be shown no more.
select member_key as shown_key
from {{ ref('dim_members') }}
where is_current and not is_deleted and tier <> 'gold' and tier <> 'unknown'
"""
_SHOWN = """select shown_key as member_key
from {{ ref('int_members__allowed') }}
union all
select {{ unknown_key() }}
"""
_SAID = """version: 2

models:
  - name: dim_shown_members
    description: One row for each member who allows to be shown, and one for nobody; key `member_key`.
    config:
      meta:
        access: internal
        withdrawable: {column: member_key, allowed_by: int_members__allowed, key: shown_key}
    columns:
      - name: member_key
        data_type: uuid
"""


def showing(club: Club, project: Callable[[Club], Path], said: str = _SAID) -> Club:
    """The club with a project that shows those of its members who allow it."""
    models = project(club) / "models"
    (models / "intermediate" / "tiny" / "int_members__allowed.sql").write_text(_ALLOWED, encoding="utf-8")
    (models / "marts" / "tiny" / "dim_shown_members.sql").write_text(_SHOWN, encoding="utf-8")
    (models / "marts" / "tiny" / "dim_shown_members.yml").write_text(said, encoding="utf-8")
    return club


def shown(club: Club) -> int:
    """How many members readers see."""
    [(number,)] = club.ask(lambda d: f"select count(*) - 1 from {d.published('tiny', 'dim_shown_members')}")
    return int(number)


@pytest.mark.parametrize("engine", EVERYWHERE, indirect=True)
def test_a_rollback_doesn_t_bring_back_who_withdrew(club: Club, project: Callable[[Club], Path]) -> None:
    showing(club, project)
    lines: list[str] = []
    first = club.member(1, "01-01")
    club.member(2, "01-01")
    club.deliver()
    club.build()
    club.member(3, "01-02")
    club.deliver()
    club.build()
    assert shown(club) == 3
    with club.entered():
        roll_back_build(current_target(), lines.append)
    assert shown(club) == 2, "where nobody withdrew, a rollback is one"

    club.corrected(first, "01-03", tier="gold")
    club.deliver()
    club.build()
    assert shown(club) == 2
    with club.entered(), pytest.raises(BuildError, match=r"tiny\.dim_shown_members has 1 persons in it who may not"):
        roll_back_build(current_target(), lines.append)
    assert shown(club) == 2, "readers keep what they have"
    club.member(4, "01-04")
    club.deliver()
    club.build()
    with club.entered():
        roll_back_build(current_target(), lines.append)
    assert shown(club) == 2, "in the generation before that nobody is who withdrew"


def test_who_may_withdraw_must_be_told(club: Club, project: Callable[[Club], Path]) -> None:
    showing(club, project, _SAID.replace("allowed_by: int_members__allowed", "allowed_by: int_nobody"))
    club.member(1, "01-01")
    club.deliver()
    with pytest.raises(BuildError, match="dim_shown_members doesn't say who may withdraw from it"):
        club.build()
