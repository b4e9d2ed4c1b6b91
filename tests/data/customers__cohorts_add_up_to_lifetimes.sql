-- The cohorts' customers are the customers with a lifetime, each in one cohort; the net sales of both are those of the
-- lines, and in their first month all of a cohort are active.
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
    lines.net_sales_amount as true_net_sales_amount
from cohorts
cross join totals
cross join lines
where
    coalesce(cohorts.customer_count, 0) <> totals.customer_count
    or coalesce(cohorts.active_customer_count, 0) <> totals.customer_count
    or cohorts.net_sales_amount is distinct from totals.net_sales_amount
    or totals.net_sales_amount is distinct from lines.net_sales_amount
