with bounds as (
    select
        min(date_day) as first_date,
        max(date_day) as last_date
    from {{ ref('dim_time_spine') }}
),

days as (
    select dates.date_day
    from bounds
    cross join lateral ({{ date_series(year_start('bounds.first_date'), year_end('bounds.last_date')) }}) as dates
),

-- A day before all others stands for the day that is not known.
all_days as (
    select
        date_day,
        false as is_unknown
    from days
    union all
    select
        cast({{ beginning_of_time() }} as date) as date_day,
        true as is_unknown
),

holidays as (
    select * from {{ ref('holidays') }}
    where country_code = '{{ var("calendar").holidays }}'
)

select
    cast(all_days.date_day as date) as date_day,
    cast(extract(year from all_days.date_day) as integer) as year,
    cast(extract(quarter from all_days.date_day) as integer) as quarter,
    cast(extract(month from all_days.date_day) as integer) as month,
    cast({{ month_name('all_days.date_day') }} as {{ dbt.type_string() }}) as month_name,
    {{ month_start('all_days.date_day') }} as month_start_date,
    {{ month_end('all_days.date_day') }} as month_end_date,
    cast(extract(isoyear from all_days.date_day) as integer) as iso_year,
    cast(extract(week from all_days.date_day) as integer) as iso_week,
    {{ week_start('all_days.date_day') }} as iso_week_start_date,
    cast(extract(isodow from all_days.date_day) as integer) as day_of_week,
    cast({{ day_name('all_days.date_day') }} as {{ dbt.type_string() }}) as day_name,
    cast(holidays.holiday_name as {{ dbt.type_string() }}) as holiday_name,
    extract(isodow from all_days.date_day) >= 6 as is_weekend,
    holidays.holiday_date is not null as is_holiday,
    all_days.date_day = {{ month_end('all_days.date_day') }} as is_month_end,
    all_days.is_unknown
from all_days
left join holidays on all_days.date_day = holidays.holiday_date
