-- The day's country of a customer: what most of the customer's lines say; null where none says any.
with source as (
    select * from {{ source('retail', 'sales_lines') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        trading_date,
        {{ retail_customer_id('customer_id') }} as customer_id,
        {{ trimmed('country') }} as country_name,
        _operation = 'D' as is_deleted,
        {{ local_to_utc('trading_date', var('retail_timezone')) }} as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id,
        file_series || ' ' || {{ retail_invoice_no('invoice_no') }} || ' '
        || cast(line_number as {{ dbt.type_string() }}) as line_id,
        row_number() over (
            partition by trading_date, file_series, {{ retail_invoice_no('invoice_no') }}, line_number
            order by _revision desc, _operation desc
        ) as version_rank
    from source
),

counted as (
    select
        *,
        count(*) over (partition by trading_date, customer_id, country_name) as bearing_count
    from renamed
    where version_rank = 1 and not is_deleted and customer_id is not null
),

ranked as (
    select
        *,
        row_number() over (
            partition by trading_date, customer_id
            order by
                country_name is null, bearing_count desc,
                {{ binary_order('country_name') }}, {{ binary_order('line_id') }}
        ) as day_rank
    from counted
),

chosen as (
    select
        customer_id,
        trading_date,
        country_name,
        is_deleted,
        valid_at,
        source_revision,
        observed_at,
        load_id
    from ranked
    where day_rank = 1
)

select * from chosen
