create schema if not exists pooler authorization postgres;
revoke all on schema pooler from public;
grant usage on schema pooler to pooler;
grant connect on database granary to pooler;
create or replace function pooler.login(name text) returns table (login_name name, verifier text)
language sql stable security definer set search_path = pg_catalog
as $$ select rolname, rolpassword from pg_authid where rolname = $1 and rolcanlogin and not rolsuper $$;
revoke all on function pooler.login(text) from public;
grant execute on function pooler.login(text) to pooler;
