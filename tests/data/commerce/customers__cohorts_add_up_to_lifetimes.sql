-- The cohorts' customers, and those of the segments, are the customers with a lifetime, each once; the net sales of all are
-- those of the lines, and in their first month all of a cohort are active.
{{ config(meta={'quality_dimension': 'consistency'}) }}

with cohorts as (
    select
        sum(case when months_since_first_order = 0 then customer_count end) as customer_count,
        sum(case when months_since_first_order = 0 then active_customer_count end) as active_customer_count,
        sum(net_sales_amount) as net_sales_amount
    from {{ ref('agg_cohorts__monthly') }}
),

lifetimes as (
    select
        customer_key,
        lifetime_value_amount
    from {{ ref('agg_customers__lifetime') }}
),

totals as (
    select
        count(*) as customer_count,
        sum(lifetime_value_amount) as net_sales_amount
    from lifetimes
),

segments as (
    select
        sum(customer_count) as customer_count,
        sum(lifetime_value_amount) as net_sales_amount
    from {{ ref('agg_customers__segments') }}
),

lines as (
    select sum(sales.net_reporting_amount) as net_sales_amount
    from {{ ref('fct_sales') }} as sales
    inner join lifetimes on sales.customer_key = lifetimes.customer_key
    where sales.is_net_sales
)

select
    cohorts.customer_count as cohort_customer_count,
    cohorts.active_customer_count,
    totals.customer_count,
    cohorts.net_sales_amount as cohort_net_sales_amount,
    totals.net_sales_amount,
    segments.customer_count as segment_customer_count,
    segments.net_sales_amount as segment_net_sales_amount,
    lines.net_sales_amount as true_net_sales_amount
from cohorts
cross join totals
cross join segments
cross join lines
where
    coalesce(cohorts.customer_count, 0) <> totals.customer_count
    or coalesce(cohorts.active_customer_count, 0) <> totals.customer_count
    or coalesce(segments.customer_count, 0) <> totals.customer_count
    or segments.net_sales_amount is distinct from totals.net_sales_amount
    or cohorts.net_sales_amount is distinct from totals.net_sales_amount
    or totals.net_sales_amount is distinct from lines.net_sales_amount
