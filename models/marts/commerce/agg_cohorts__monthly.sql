with documents as (
    select * from {{ ref('agg_sales__documents') }}
),

purchases as (
    select
        customer_key,
        month_start_date
    from documents
    where is_purchase and is_month_of_order
    group by customer_key, month_start_date
),

customers as (
    select
        customer_key,
        min(month_start_date) as cohort_month_start_date
    from purchases
    group by customer_key
),

cohorts as (
    select
        cohort_month_start_date,
        count(*) as customer_count
    from customers
    group by cohort_month_start_date
),

last_month as materialized (
    select {{ month_start('max(business_date)') }} as month_start_date
    from {{ ref('fct_sales') }}
),

months as (
    select
        cohorts.cohort_month_start_date,
        cohorts.customer_count,
        dates.date_day as activity_month_start_date
    from cohorts
    cross join last_month
    cross join lateral ({{ date_series('cohorts.cohort_month_start_date', 'last_month.month_start_date') }}) as dates
    where dates.date_day = {{ month_start('dates.date_day') }}
),

active as (
    select
        customers.cohort_month_start_date,
        purchases.month_start_date,
        count(*) as customer_count
    from purchases
    inner join customers on purchases.customer_key = customers.customer_key
    group by customers.cohort_month_start_date, purchases.month_start_date
),

customer_months as (
    select
        customer_key,
        month_start_date,
        sum(net_sales_amount) as net_sales_amount
    from documents
    group by customer_key, month_start_date
),

amounts as (
    select
        customers.cohort_month_start_date,
        greatest(customer_months.month_start_date, customers.cohort_month_start_date) as month_start_date,
        sum(customer_months.net_sales_amount) as net_sales_amount
    from customer_months
    inner join customers on customer_months.customer_key = customers.customer_key
    group by
        customers.cohort_month_start_date,
        greatest(customer_months.month_start_date, customers.cohort_month_start_date)
)

select
    months.cohort_month_start_date,
    cast({{ months_between('months.cohort_month_start_date', 'months.activity_month_start_date') }} as bigint)
        as months_since_first_order,
    months.activity_month_start_date,
    cast(months.customer_count as bigint) as customer_count,
    cast(coalesce(active.customer_count, 0) as bigint) as active_customer_count,
    cast({{ safe_divide('coalesce(active.customer_count, 0)', 'months.customer_count') }} as numeric(18, 6))
        as retention_rate,
    cast(coalesce(amounts.net_sales_amount, 0) as numeric(28, 4)) as net_sales_amount,
    cast('{{ var("reporting_currency") }}' as {{ dbt.type_string() }}) as reporting_currency_code
from months
left join active
    on
        months.cohort_month_start_date = active.cohort_month_start_date
        and months.activity_month_start_date = active.month_start_date
left join amounts
    on
        months.cohort_month_start_date = amounts.cohort_month_start_date
        and months.activity_month_start_date = amounts.month_start_date
