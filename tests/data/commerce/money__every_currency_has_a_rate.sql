-- Every amount whose currency is known is also given in the reporting currency. A warning: the seed exchange_rates lacks a
-- currency, and sums in the reporting currency lack what was sold in it.
{{ config(severity='warn', meta={'quality_dimension': 'completeness'}) }}

with amounts as (
    select
        'fct_sales' as fact_name,
        currency_code
    from {{ ref('fct_sales') }}
    where net_reporting_amount is null and currency_code <> 'ZZZ'
    union all
    select
        'fct_orders' as fact_name,
        currency_code
    from {{ ref('fct_orders') }}
    where total_reporting_amount is null
    union all
    select
        'fct_payments' as fact_name,
        currency_code
    from {{ ref('fct_payments') }}
    where payment_reporting_amount is null
    union all
    select
        'fct_refunds' as fact_name,
        currency_code
    from {{ ref('fct_refunds') }}
    where refund_reporting_amount is null
)

select
    fact_name,
    currency_code,
    count(*) as row_count
from amounts
group by fact_name, currency_code
