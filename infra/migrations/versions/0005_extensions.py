"""Extensions, in a schema of their own: those that the server has preloaded, where a superuser migrates.

pgaudit names the objects that statements changed; pg_stat_statements tells the monitor which statements take long.
Where the server hasn't preloaded them, as on a managed one, they are its administrator's, and nothing here needs them.
"""

from alembic import op

revision, down_revision = "0005", "0004"

EXTENSIONS = ("pgaudit", "pg_stat_statements")


def upgrade() -> None:
    op.execute("create schema extensions")
    op.execute("revoke all on schema extensions from public")
    op.execute("grant usage on schema extensions to granary_monitor")
    for name in EXTENSIONS:
        op.execute(f"""
            do $$ begin
                if not (select rolsuper from pg_roles where rolname = current_user) then
                    return;  -- nor may it see what is preloaded
                end if;
                if '{name}' = any(regexp_split_to_array(current_setting('shared_preload_libraries'), '\\s*,\\s*')) then
                    create extension if not exists {name};
                    alter extension {name} set schema extensions;
                end if;
            end $$""")


def downgrade() -> None:
    for name in EXTENSIONS:
        op.execute(f"drop extension if exists {name}")
    op.execute("drop schema extensions")
