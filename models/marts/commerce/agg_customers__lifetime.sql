{{ config(indexes=[{'columns': ['customer_key']}, {'columns': ['lifetime_value_amount']}]) }}

with documents as (
    select * from {{ ref('agg_sales__documents') }}
),

as_of as materialized (
    select max(business_date) as business_date
    from {{ ref('fct_sales') }}
),

lifetimes as (
    select
        customer_key,
        min(case when is_purchase then ordered_date end) as first_order_date,
        max(case when is_purchase then ordered_date end) as last_order_date,
        sum(case when is_purchase and is_month_of_order then 1 else 0 end) as document_count,
        sum(net_sales_amount) as lifetime_value_amount
    from documents
    group by customer_key
    having max(case when is_purchase then 1 else 0 end) = 1
),

scored as (
    select
        lifetimes.*,
        as_of.business_date as as_of_date,
        {{ days_between('lifetimes.last_order_date', 'as_of.business_date') }} as recency_days,
        ntile(5) over (order by lifetimes.last_order_date, lifetimes.customer_key) as recency_score,
        ntile(5) over (order by lifetimes.document_count, lifetimes.customer_key) as frequency_score,
        ntile(5) over (order by lifetimes.lifetime_value_amount, lifetimes.customer_key) as monetary_score
    from lifetimes
    cross join as_of
)

select
    customer_key,
    as_of_date,
    first_order_date,
    last_order_date,
    cast(recency_days as bigint) as recency_days,
    cast(document_count as bigint) as document_count,
    cast(lifetime_value_amount as numeric(28, 4)) as lifetime_value_amount,
    cast(
        round({{ safe_divide('lifetime_value_amount', 'document_count') }}, 4) as numeric(28, 4)
    ) as average_document_amount,
    cast(recency_score as bigint) as recency_score,
    cast(frequency_score as bigint) as frequency_score,
    cast(monetary_score as bigint) as monetary_score,
    case
        when recency_score >= 4 and frequency_score >= 4 then 'champion'
        when recency_score >= 3 and frequency_score >= 3 then 'loyal'
        when recency_score >= 4 then 'promising'
        when recency_score = 3 then 'needs_attention'
        when frequency_score >= 4 then 'at_risk'
        else 'dormant'
    end as segment,
    cast('{{ var("reporting_currency") }}' as {{ dbt.type_string() }}) as reporting_currency_code
from scored
