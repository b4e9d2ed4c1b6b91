{{ config(
    materialized='incremental',
    incremental_strategy='touched_keys',
    unique_key='business_date',
    meta={'follows': {
        'relation': 'fct_sales',
        'key': 'business_date',
        'ignores': [
            'channel_key', 'country_key', 'customer_key', 'customer_version_key', 'product_key', 'product_version_key',
            'sold_at',
        ],
    }},
    pre_hook="{{ remember_touched(pending_keys('business_date', 'cast(followed_key as date)')) }}",
    indexes=[{'columns': ['business_date']}],
) }}

with sales as (
    select * from {{ ref('fct_sales') }}
    {%- if is_incremental() %}
    where business_date in (select touched.business_date from {{ touched_table() }} as touched)
    {%- endif %}
),

documents as (
    select
        business_date,
        source_key,
        currency_key,
        currency_code,
        sales_document_key,
        count(*) as line_count,
        sum(net_amount) as net_amount
    from sales
    where net_reporting_amount is null
    group by business_date, source_key, currency_key, currency_code, sales_document_key
)

select
    business_date,
    source_key,
    currency_key,
    cast(count(*) as bigint) as document_count,
    cast(sum(line_count) as bigint) as line_count,
    cast(sum(net_amount) as numeric(28, 4)) as net_amount,
    currency_code
from documents
group by business_date, source_key, currency_key, currency_code
