{{ config(
    materialized='incremental',
    incremental_strategy='touched_keys',
    unique_key='business_date',
    meta={'follows': {
        'relation': 'fct_sales',
        'key': 'business_date',
        'ignores': ['customer_key', 'customer_version_key', 'product_key', 'product_version_key', 'sold_at'],
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

-- Documents are counted in two steps: first each one's day, then the days.
documents as (
    select
        business_date,
        source_key,
        channel_key,
        country_key,
        reporting_currency_code,
        sales_document_key,
        count(*) as line_count,
        sum(case when net_reporting_amount is null then 1 else 0 end) as unrated_line_count,
        sum(case when line_type = 'sale' then quantity else 0 end) as sold_quantity,
        sum(case when line_type = 'return' then -quantity else 0 end) as returned_quantity,
        sum(case when line_type = 'cancellation' then -quantity else 0 end) as cancelled_quantity,
        sum(case when line_type = 'write_off' then -quantity else 0 end) as write_off_quantity,
        sum(case when line_type in ('sale', 'service') then gross_reporting_amount else 0 end) as gross_sales_amount,
        sum(case when line_type in ('sale', 'service') then discount_reporting_amount else 0 end) as discount_amount,
        sum(case when line_type = 'return' then -net_reporting_amount else 0 end) as returned_amount,
        sum(case when line_type = 'cancellation' then -net_reporting_amount else 0 end) as cancelled_amount,
        sum(case when is_net_sales then net_reporting_amount else 0 end) as net_sales_amount,
        sum(case when is_net_sales then tax_reporting_amount else 0 end) as tax_amount,
        sum(case when line_type = 'charge' then net_reporting_amount else 0 end) as charge_amount,
        sum(case when line_type = 'adjustment' then net_reporting_amount else 0 end) as adjustment_amount
    from sales
    group by business_date, source_key, channel_key, country_key, reporting_currency_code, sales_document_key
)

select
    business_date,
    source_key,
    channel_key,
    country_key,
    cast(count(*) as bigint) as document_count,
    cast(sum(line_count) as bigint) as line_count,
    cast(sum(case when unrated_line_count > 0 then 1 else 0 end) as bigint) as unrated_document_count,
    cast(sum(unrated_line_count) as bigint) as unrated_line_count,
    cast(sum(sold_quantity) as bigint) as sold_quantity,
    cast(sum(returned_quantity) as bigint) as returned_quantity,
    cast(sum(cancelled_quantity) as bigint) as cancelled_quantity,
    cast(sum(write_off_quantity) as bigint) as write_off_quantity,
    cast(coalesce(sum(gross_sales_amount), 0) as numeric(28, 4)) as gross_sales_amount,
    cast(coalesce(sum(discount_amount), 0) as numeric(28, 4)) as discount_amount,
    cast(coalesce(sum(returned_amount), 0) as numeric(28, 4)) as returned_amount,
    cast(coalesce(sum(cancelled_amount), 0) as numeric(28, 4)) as cancelled_amount,
    cast(coalesce(sum(net_sales_amount), 0) as numeric(28, 4)) as net_sales_amount,
    cast(coalesce(sum(tax_amount), 0) as numeric(28, 4)) as tax_amount,
    cast(coalesce(sum(charge_amount), 0) as numeric(28, 4)) as charge_amount,
    cast(coalesce(sum(adjustment_amount), 0) as numeric(28, 4)) as adjustment_amount,
    reporting_currency_code
from documents
group by business_date, source_key, channel_key, country_key, reporting_currency_code
