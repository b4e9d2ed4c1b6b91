with countries as (
    select * from {{ ref('countries') }}
)

select
    case
        when country_code = 'ZZ' then {{ unknown_key() }}
        else {{ surrogate_key(["'country'", 'country_code']) }}
    end as country_key,
    cast(country_code as {{ dbt.type_string() }}) as country_code,
    cast(country_code_alpha3 as {{ dbt.type_string() }}) as country_code_alpha3,
    cast(country_name as {{ dbt.type_string() }}) as country_name,
    cast(region as {{ dbt.type_string() }}) as region,
    cast(subregion as {{ dbt.type_string() }}) as subregion,
    cast(currency_code as {{ dbt.type_string() }}) as currency_code,
    cast(is_eu_member as boolean) as is_eu_member
from countries
