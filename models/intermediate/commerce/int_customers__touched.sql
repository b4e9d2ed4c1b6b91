{{ config(materialized='table', post_hook=list_of_keys()) }}
-- Whose versions may differ from those that the facts were joined to, and from when on.
with new_loads as (
    {{ loads_new_to(facts_of_customers()) }}
),

user_versions as (
    select
        log.user_id,
        log.email_token,
        log.is_deleted,
        log.valid_at,
        log.load_id in (select new_loads.load_id from new_loads) as is_new
    from {{ ref('stg_shop__users') }} as log
),

account_versions as (
    select
        log.account_id,
        log.email_token,
        log.load_id in (select new_loads.load_id from new_loads) as is_new
    from {{ ref('stg_accounts__users') }} as log
),

changed_users as (
    select
        user_id,
        min(valid_at) as changed_from
    from user_versions
    where is_new
    group by user_id
),

-- Who comes, or ever changed the address, left or came back, may have had an address at another time than before. That
-- is so for an address that the user had already, too.
users_who_moved as (
    select user_id
    from user_versions
    where user_id in (select changed_users.user_id from changed_users)
    group by user_id
    having
        max(case when is_new then 1 else 0 end) = 1
        and (
            min(case when is_new then 1 else 0 end) = 1
            or count(distinct email_token) > 1
            or max(case when is_deleted then 1 else 0 end) = 1
        )
),

-- With these, whose account is whose may come out differently.
changed_emails as (
    select email_token from account_versions
    where is_new
    union
    select user_versions.email_token
    from user_versions
    inner join users_who_moved on user_versions.user_id = users_who_moved.user_id
),

-- One account may move from one user to another, so users are followed over the accounts that they share.
concerned_accounts as (
    select account_versions.account_id
    from account_versions
    inner join changed_emails on account_versions.email_token = changed_emails.email_token
    group by account_versions.account_id
),

concerned_emails as (
    select email_token from changed_emails
    union
    select account_versions.email_token
    from account_versions
    inner join concerned_accounts on account_versions.account_id = concerned_accounts.account_id
),

regrouped_users as (
    select user_versions.user_id
    from user_versions
    inner join concerned_emails on user_versions.email_token = concerned_emails.email_token
    where exists (select 1 from concerned_accounts)
    group by user_versions.user_id
),

address_versions as (
    select
        addresses.address_id,
        addresses.user_id,
        addresses.valid_at,
        addresses.load_id in (select new_loads.load_id from new_loads) as is_new
    from {{ ref('stg_shop__addresses') }} as addresses
),

changed_addresses as (
    select
        address_id,
        {{ changed_from() }} as changed_from
    from address_versions
    group by address_id
    having max(case when is_new then 1 else 0 end) = 1
),

all_changes as (
    select user_id, changed_from from changed_users
    union all
    select user_id, {{ beginning_of_time() }} from regrouped_users
    union all
    select address_versions.user_id, changed_addresses.changed_from
    from address_versions
    inner join changed_addresses on address_versions.address_id = changed_addresses.address_id
)

select
    user_id,
    min(changed_from) as changed_from
from all_changes
where user_id is not null
group by user_id
