with payment_methods as (
    select * from {{ ref('payment_methods') }}
),

members as (
    select
        {{ surrogate_key(["'payment_method'", 'payment_method_id']) }} as payment_method_key,
        payment_method_id,
        payment_method_name
    from payment_methods
    union all
    select
        {{ unknown_key() }} as payment_method_key,
        'unknown' as payment_method_id,
        'Unknown' as payment_method_name
    union all
    select
        {{ not_applicable_key() }} as payment_method_key,
        'not_applicable' as payment_method_id,
        'Not applicable' as payment_method_name
)

select
    payment_method_key,
    cast(payment_method_id as {{ dbt.type_string() }}) as payment_method_id,
    cast(payment_method_name as {{ dbt.type_string() }}) as payment_method_name
from members
