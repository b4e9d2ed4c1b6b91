with currencies as (
    select * from {{ ref('currencies') }}
),

members as (
    select
        case
            when currency_code = 'XXX' then {{ not_applicable_key() }}
            else {{ surrogate_key(["'currency'", 'currency_code']) }}
        end as currency_key,
        currency_code,
        currency_name,
        symbol,
        minor_units
    from currencies
    union all
    select
        {{ unknown_key() }} as currency_key,
        'ZZZ' as currency_code,
        'Unknown' as currency_name,
        'ZZZ' as symbol,
        null as minor_units
)

select
    currency_key,
    cast(currency_code as {{ dbt.type_string() }}) as currency_code,
    cast(currency_name as {{ dbt.type_string() }}) as currency_name,
    cast(symbol as {{ dbt.type_string() }}) as symbol,
    cast(minor_units as integer) as minor_units
from members
