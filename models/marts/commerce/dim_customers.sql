{{ config(
    pre_hook="{{ refuse_older_list('int_customers__inferred') }}",
    indexes=[{'columns': ['customer_key']}, {'columns': ['customer_version_key']}],
) }}

with shop as (
    select * from {{ ref('int_shop_customers__versions') }}
),

-- Accounts of people who are not, or not yet, customers of the shop.
account_versions as (
    select *
    from {{ ref('snap_accounts__users') }}
    where account_id not in (select identities.account_id from {{ ref('int_customers__identities') }} as identities)
),

-- A new profile, or another spelling of a country, is no new version here: neither is shown.
accounts as (
    {{ merged_neighbours('account_versions', 'account_id', [
        'email_token', 'first_name_token', 'last_name_token', 'account_status', 'prefers_newsletter',
        'preferred_language', 'is_deleted',
    ]) }}
),

retail_versions as (
    select
        versions.*,
        names.country_code
    from {{ ref('snap_retail__customers') }} as versions
    left join {{ ref('country_names') }} as names on {{ folded('versions.country_name') }} = names.country_name
),

retail as (
    {{ merged_neighbours('retail_versions', 'customer_id', ['country_code', 'is_deleted']) }}
),

versions as (
    select
        'shop' as source_id, user_id as customer_id, account_id, email_token, first_name_token, last_name_token,
        customer_status, account_status, city, postal_code, region, country_code, prefers_newsletter,
        preferred_language, valid_from, valid_to, is_deleted, false as is_inferred
    from shop
    union all
    select
        'accounts', account_id, account_id, email_token, first_name_token, last_name_token, null, account_status, null,
        null, null, null, prefers_newsletter, preferred_language, valid_from, valid_to, is_deleted, false
    from accounts
    union all
    select
        'retail', customer_id, null, null, null, null, null, null, null, null, null, country_code, null, null,
        valid_from, valid_to, is_deleted, false
    from retail
    union all
    select
        'shop', user_id, null, null, null, null, null, null, null, null, null, null, null, null,
        {{ beginning_of_time() }}, {{ end_of_time() }}, false, true
    from {{ ref('int_customers__inferred') }}
),

keyed as (
    select
        {{ surrogate_key(['source_id', 'customer_id']) }} as customer_key,
        {{ surrogate_key(['source_id', 'customer_id', 'valid_from']) }} as customer_version_key,
        *
    from versions
    union all
    select
        {{ unknown_key() }},
        {{ unknown_key() }},
        'granary',
        'unknown',
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        null, null, null, {{ beginning_of_time() }}, {{ end_of_time() }}, false, false
)

select
    keyed.customer_version_key,
    keyed.customer_key,
    {{ surrogate_key(["'source'", 'keyed.source_id']) }} as source_key,
    cast(keyed.customer_id as {{ dbt.type_string() }}) as customer_id,
    keyed.account_id,
    keyed.email_token,
    keyed.first_name_token,
    keyed.last_name_token,
    keyed.customer_status,
    keyed.account_status,
    keyed.city,
    keyed.postal_code,
    keyed.region,
    coalesce(countries.country_key, {{ unknown_key() }}) as country_key,
    keyed.prefers_newsletter,
    keyed.preferred_language,
    keyed.valid_from,
    keyed.valid_to,
    keyed.valid_to = {{ end_of_time() }} as is_current,
    keyed.is_deleted,
    keyed.is_inferred
from keyed
left join {{ ref('dim_countries') }} as countries on keyed.country_code = countries.country_code
