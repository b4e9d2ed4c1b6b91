{%- set tracked = [
    'email_token', 'first_name_token', 'last_name_token', 'customer_status', 'city', 'postal_code', 'region',
    'country_code', 'account_id', 'account_status', 'prefers_newsletter', 'preferred_language', 'is_deleted',
] -%}

with users as (
    select * from {{ ref('snap_shop__users') }}
),

addresses as (
    select
        *,
        coalesce(
            lead(valid_from) over (partition by user_id order by valid_from), {{ end_of_time() }}
        ) as valid_to
    from {{ ref('int_customer_addresses__default') }}
),

-- An account says nothing about the time before it was opened.
accounts as (
    select
        identities.user_id,
        versions.account_id,
        versions.account_status,
        versions.prefers_newsletter,
        versions.preferred_language,
        versions.valid_to,
        case
            when versions.valid_from = {{ beginning_of_time() }} then coalesce(versions.created_at, versions.valid_from)
            else versions.valid_from
        end as valid_from
    from {{ ref('snap_accounts__users') }} as versions
    inner join {{ ref('int_customers__identities') }} as identities on versions.account_id = identities.account_id
),

instants as (
    select user_id, valid_from from users
    union
    select user_id, valid_from from addresses
    union
    select user_id, valid_from from accounts
),

states as (
    select
        users.user_id,
        instants.valid_from,
        users.email_token,
        users.first_name_token,
        users.last_name_token,
        users.status as customer_status,
        addresses.city,
        addresses.postal_code,
        addresses.region,
        addresses.country_code,
        accounts.account_id,
        accounts.account_status,
        accounts.prefers_newsletter,
        accounts.preferred_language,
        users.is_deleted
    from instants
    inner join users
        on
            instants.user_id = users.user_id
            and instants.valid_from >= users.valid_from
            and instants.valid_from < users.valid_to
    left join addresses
        on
            instants.user_id = addresses.user_id
            and instants.valid_from >= addresses.valid_from
            and instants.valid_from < addresses.valid_to
    left join accounts
        on
            instants.user_id = accounts.user_id
            and instants.valid_from >= accounts.valid_from
            and instants.valid_from < accounts.valid_to
)

{{ merged_neighbours('states', 'user_id', tracked) }}
