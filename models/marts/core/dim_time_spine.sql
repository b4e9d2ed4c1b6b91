-- The days that metrics are given for. dim_dates goes on to the ends of the years.
with happened as (
    {{ days_of_facts() }}
),

bounds as (
    select
        min(first_date) as first_date,
        max(last_date) as last_date
    from happened
)

select dates.date_day
from bounds
cross join lateral ({{ date_series('bounds.first_date', 'bounds.last_date') }}) as dates
