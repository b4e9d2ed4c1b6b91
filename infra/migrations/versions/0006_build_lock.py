"""The table that a build locks: who may not write there can't take the lock.

A first build makes it where there are no migrations.
"""

from alembic import op

revision, down_revision = "0006", "0005"


def upgrade() -> None:
    op.execute("create schema if not exists granary authorization granary_transformer")
    op.execute("create table if not exists granary.build_lock ()")
    op.execute("alter table granary.build_lock owner to granary_transformer")


def downgrade() -> None:
    op.execute("drop table granary.build_lock")
    op.execute("""
        do $$ begin
            drop schema granary;
        exception when dependent_objects_still_exist then null;  -- a build's own tables
        end $$""")
