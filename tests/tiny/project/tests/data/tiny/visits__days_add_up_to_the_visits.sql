-- The days of agg_visits__daily are those of fct_visits, each with its sum.
{{ config(meta={'quality_dimension': 'accuracy'}) }}

with days as (
    select
        visited_date,
        count(*) as visit_count,
        sum(visit_amount) as visits_amount
    from {{ ref('fct_visits') }}
    group by visited_date
)

select
    coalesce(days.visited_date, daily.visited_date) as visited_date,
    days.visit_count,
    daily.visit_count as found_count
from days
full join {{ ref('agg_visits__daily') }} as daily on days.visited_date = daily.visited_date
where
    days.visit_count is distinct from daily.visit_count
    or days.visits_amount is distinct from daily.visits_amount
