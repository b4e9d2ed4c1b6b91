"""Alembic's entry: migrations run in one transaction, over the connection that `infra.migrate` opened."""

from __future__ import annotations

from alembic import context

given = context.config.attributes
context.configure(connection=given["connection"], transaction_per_migration=False, **given["versions"])
with context.begin_transaction():
    context.run_migrations()
