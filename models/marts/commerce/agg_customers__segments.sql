with lifetimes as (
    select * from {{ ref('agg_customers__lifetime') }}
)

select
    segment,
    as_of_date,
    cast(count(*) as bigint) as customer_count,
    cast(sum(document_count) as bigint) as document_count,
    cast(sum(lifetime_value_amount) as numeric(28, 4)) as lifetime_value_amount,
    reporting_currency_code
from lifetimes
group by segment, as_of_date, reporting_currency_code
