-- For each day agg_sales__daily holds all that fct_sales does, and its own amounts agree.
{{ config(meta={'quality_dimension': 'consistency'}) }}

with days as (
    select
        business_date,
        sum(line_count) as line_count,
        sum(gross_sales_amount - discount_amount - returned_amount - cancelled_amount) as derived_net_sales_amount,
        sum(net_sales_amount) as net_sales_amount,
        sum(net_sales_amount + charge_amount + adjustment_amount) as net_amount,
        sum(tax_amount) as tax_amount
    from {{ ref('agg_sales__daily') }}
    group by business_date
),

lines as (
    select
        business_date,
        count(*) as line_count,
        coalesce(sum(case when is_net_sales then net_reporting_amount end), 0) as net_sales_amount,
        coalesce(sum(net_reporting_amount), 0) as net_amount,
        coalesce(sum(tax_reporting_amount), 0) as tax_amount
    from {{ ref('fct_sales') }}
    group by business_date
)

select
    coalesce(days.business_date, lines.business_date) as business_date,
    days.line_count,
    lines.line_count as true_line_count,
    days.derived_net_sales_amount,
    days.net_sales_amount,
    lines.net_sales_amount as true_net_sales_amount,
    days.net_amount,
    lines.net_amount as true_net_amount,
    days.tax_amount,
    lines.tax_amount as true_tax_amount
from days
full outer join lines on days.business_date = lines.business_date
where
    days.line_count is distinct from lines.line_count
    or days.derived_net_sales_amount is distinct from lines.net_sales_amount
    or days.net_sales_amount is distinct from lines.net_sales_amount
    or days.net_amount is distinct from lines.net_amount
    or days.tax_amount is distinct from lines.tax_amount
