"""Keys of the HTTP API: each is a login of its own beside the one that it is for, with the same roles and tenants.

The key's secret is that login's password, so the server checks it, ends it (`valid until`) and keeps a verifier alone.
Whose rows a key sees is asked for the login that it is for, and so follows that.
"""

from alembic import op

revision, down_revision = "0008", "0007"

# A session of a key sees the tenants of the key's login; every other its own.
MY_TENANTS = """
        create or replace function access.my_tenants() returns uuid[]
        language sql stable parallel safe security definer set search_path = pg_catalog
        as $$
            select
                array[
                    '00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000001',
                    md5('source|granary')
                ]::uuid[]
                || coalesce(array_agg(tenant_key), '{{}}')
            from access.tenant_logins
            where login_name = {login}
        $$"""
OF_KEY = (
    "coalesce((select keys.login_name from access.api_keys as keys where keys.key_name = session_user), session_user)"
)


def upgrade() -> None:
    op.execute("""
        do $$ begin
            create role granary_api_key nologin;
        exception when duplicate_object then null;
        end $$""")
    op.execute("grant usage on schema access to granary_api_key")
    op.execute("""
        create table access.api_keys (
            key_name name primary key,
            login_name name not null,
            made_at timestamptz not null default now(),
            made_by name not null default session_user,
            expires_at timestamptz not null
        )""")
    op.execute("grant select on access.api_keys to granary_auditor")
    op.execute(MY_TENANTS.format(login=OF_KEY))
    # Whose key a session is; whether it is still good: neither is over, and both have the same roles. `rights` changes
    # with what it may see.
    op.execute("""
        create function access.api_session() returns table (login_name name, is_good boolean, rights text)
        language sql stable security definer set search_path = pg_catalog
        as $$
            select
                keys.login_name,
                own.rolcanlogin and owner.rolcanlogin
                and keys.expires_at > now() and coalesce(owner.rolvaliduntil > now(), true)
                and array(
                    select distinct granted.roleid from pg_auth_members as granted
                    where granted.member = own.oid and granted.roleid <> 'granary_api_key'::regrole
                    order by 1
                ) = array(
                    select distinct granted.roleid from pg_auth_members as granted
                    where granted.member = owner.oid
                    order by 1
                ),
                md5(access.my_tenants()::text)
            from access.api_keys as keys
            join pg_roles as own on own.rolname = keys.key_name
            join pg_roles as owner on owner.rolname = keys.login_name
            where keys.key_name = session_user
        $$""")
    op.execute("revoke all on function access.api_session() from public")
    op.execute("grant execute on function access.api_session() to granary_api_key")
    # Who read which mart how often: what the API tells of a key is told in the key's own session, and of itself alone.
    op.execute("""
        create function audit.api_access(mart_name text, requests bigint, sent_rows bigint) returns void
        language sql security definer set search_path = pg_catalog
        as $$
            insert into audit.events (event_name, details)
            select 'api access', jsonb_build_object(
                'login', keys.login_name, 'mart', left(mart_name, 200), 'requests', requests, 'rows', sent_rows)
            from access.api_keys as keys
            where keys.key_name = session_user
        $$""")
    op.execute("revoke all on function audit.api_access(text, bigint, bigint) from public")
    op.execute("grant usage on schema audit to granary_api_key")
    op.execute("grant execute on function audit.api_access(text, bigint, bigint) to granary_api_key")


def downgrade() -> None:
    op.execute("drop function audit.api_access(text, bigint, bigint)")
    op.execute("drop function access.api_session()")
    op.execute(MY_TENANTS.format(login="session_user"))
    # Without the table nobody could tell what a key sees: keys go with it.
    op.execute("""
        do $$ declare each name; begin
            for each in select key_name from access.api_keys loop
                execute format('drop role if exists %I', each);
            end loop;
        end $$""")
    op.execute("drop table access.api_keys")
    op.execute("revoke usage on schema access, audit from granary_api_key")
    op.execute("""
        do $$ begin
            drop role granary_api_key;
        exception when dependent_objects_still_exist then null;
        end $$""")
