"""The shop's tables, under the name by which other programs import them."""

from ingestion.demo.commerce.shop_schema import TABLES, change_table_ddl, table_ddl

__all__ = ["TABLES", "change_table_ddl", "table_ddl"]
