-- The first rate of a currency reaches back, so that no amount is left without one.
with rates as (
    select
        currency_code,
        rate_to_gbp,
        valid_from,
        lag(valid_from) over (partition by currency_code order by valid_from) as previous_valid_from,
        lead(valid_from) over (partition by currency_code order by valid_from) as next_valid_from
    from {{ ref('exchange_rates') }}
),

reporting as (
    select
        valid_from,
        rate_to_gbp
    from rates
    where currency_code = '{{ var("reporting_currency") }}'
)

select
    rates.currency_code,
    cast(case when rates.previous_valid_from is null then date '1900-01-01' else rates.valid_from end as date)
        as valid_from,
    cast(coalesce(rates.next_valid_from, date '9999-12-31') as date) as valid_to,
    -- Divided a hundredfold, so that eight places are left of the six.
    cast(
        {{ product(safe_divide(product('rates.rate_to_gbp', 100, 8), 'reporting.rate_to_gbp'), 0.01, 6) }}
        as numeric(18, 8)
    ) as rate
from rates
inner join reporting on rates.valid_from = reporting.valid_from
