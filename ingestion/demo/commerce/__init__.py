"""A simulated company: a shop's database, an accounts API and retail files of every day. See README.md."""

from ingestion.demo import DemoError

from .folder import next_day, simulate
from .server import Fault, serving
from .shop_schema import create_shop as create_schema

__all__ = ["DemoError", "Fault", "create_schema", "next_day", "serving", "simulate"]
