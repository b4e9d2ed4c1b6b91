"""What a contract may name its tables and columns, which raw and dlt have to find again."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ingestion.contract.contracts import ContractError, Source
from ingestion.contract.reading import read_contract


def contract(folder: Path, table: str, column: str) -> Source:
    """The contract of a table with one column, as it would be read."""
    columns = [{"name": column, "data_type": "text", "config": {"meta": {"privacy": "none"}}}]
    tables = [{"name": table, "config": {"meta": {"key": [column]}}, "columns": columns}]
    path = folder / "models" / "staging" / "erp" / "_erp__sources.yml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump({"sources": [{"name": "erp", "tables": tables}]}), encoding="utf-8")
    (folder / "dbt_project.yml").write_text("vars: {}\n", encoding="utf-8")
    return read_contract("erp", folder)


@pytest.mark.parametrize("name", ["OrderID", "Customer Name", "a_", "1a", "größe", "名", "a" * 64, "x-y", "x.y", ""])
def test_a_name_that_dlt_would_change_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ContractError, match=r"is no name for raw, .* and give it config\.meta\.source_name"):
        contract(tmp_path / "column", "orders", name)
    with pytest.raises(ContractError, match=r"is no name for raw, .* and give it config\.meta\.source_name"):
        contract(tmp_path / "table", name, "id")


def test_other_names_are_kept(tmp_path: Path) -> None:
    for name in ("order", "a__b", "_x", "x1", "a" * 63):
        (table,) = contract(tmp_path / name, name, name).tables
        assert (table.name, table.column_names) == (name, [name])


def test_a_table_of_ingestions_own_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ContractError, match=r"ingestion itself writes a table loads: .* config\.meta\.source_name: loads"
    ):
        contract(tmp_path, "loads", "id")
