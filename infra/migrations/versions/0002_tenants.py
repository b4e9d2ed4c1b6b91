"""Which login sees which tenants' rows.

Row policies ask `access.my_tenants()`, which goes by the login that opened the session: `set role` changes nothing,
and there is no setting that a pooled session could leave to the next.
"""

from alembic import op

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    op.execute("create schema access")
    op.execute("revoke all on schema access from public")
    # The key is the one that models give a tenant: the md5 of what kind of tenant it is and of its id, as a uuid.
    op.execute("""
        create table access.tenant_logins (
            login_name name not null,
            tenant_kind text not null,
            tenant_id text not null,
            tenant_key uuid not null generated always as (md5(tenant_kind || '|' || tenant_id)::uuid) stored,
            granted_at timestamptz not null default now(),
            granted_by name not null default session_user,
            primary key (login_name, tenant_kind, tenant_id)
        )""")
    # With what is nobody's, or facts would find no row of a dimension: the members that stand for what is not known
    # and what does not apply, which have Granary itself for their source.
    op.execute("""
        create function access.my_tenants() returns uuid[]
        language sql stable parallel safe security definer set search_path = pg_catalog
        as $$
            select
                array[
                    '00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000001',
                    md5('source|granary')
                ]::uuid[]
                || coalesce(array_agg(tenant_key), '{}')
            from access.tenant_logins
            where login_name = session_user
        $$""")
    op.execute("revoke all on function access.my_tenants() from public")
    op.execute("grant usage on schema access to granary_tenant, granary_auditor")
    op.execute("grant execute on function access.my_tenants() to granary_tenant")
    op.execute("grant select on access.tenant_logins to granary_auditor")
    # A policy names the function, and the transformer makes policies.
    op.execute("grant usage on schema access to granary_transformer")
    op.execute("grant execute on function access.my_tenants() to granary_transformer")


def downgrade() -> None:
    # Row policies use the function: they go with it, and their tables stay closed to tenants.
    op.execute("drop schema access cascade")
