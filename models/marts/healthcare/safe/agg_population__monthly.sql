-- Persons who were seen in a month. Cells of fewer than 11 are not told, nor what would tell them by subtraction, here
-- or with what else is released.
with released as (
    select * from {{ ref('int_patients__released') }}
),

seen as (
    select
        cast({{ month_start('encounters.event_date') }} as date) as month_date,
        released.release_key as patient_key
    from {{ ref('fct_encounters') }} as encounters
    inner join released on encounters.patient_key = released.patient_key
    where not encounters.is_entered_in_error and encounters.encounter_status in {{ statuses_that_took_place() }}
    group by cast({{ month_start('encounters.event_date') }} as date), released.release_key
),

grouped as (
    select
        seen.month_date,
        {{ year_number('seen.month_date') }} as year_number,
        seen.patient_key,
        patients.age_group,
        patients.gender,
        patients.state
    from seen
    inner join {{ ref('dim_released_patients') }} as patients on seen.patient_key = patients.patient_key
),

cells as (
    select
        month_date,
        year_number,
        age_group,
        gender,
        state,
        count(*) as person_count
    from grouped
    group by month_date, year_number, age_group, gender, state
),

-- From the smallest on: how many persons, and cells, are in all that are as small.
ranked as (
    select
        *,
        sum(person_count) over (partition by month_date) as month_count,
        row_number() over (
            partition by month_date
            order by
                person_count, {{ binary_order('age_group') }}, {{ binary_order('gender') }}, {{ binary_order('state') }}
        ) as place
    from cells
),

running as (
    select
        *,
        sum(person_count) over (partition by month_date order by place) as count_up_to
    from ranked
),

-- The smallest cells of a month are told together: all that are small, two at least, and 11 persons at least. They are
-- so where none is small, too, else that a month has no such row would tell of every other group that it has nobody.
judged as (
    select
        *,
        max(
            case when person_count < {{ least_cell() }} then place else 0 end
        ) over (partition by month_date) as last_small,
        min(
            case when place >= 2 and count_up_to >= {{ least_cell() }} then place end
        ) over (partition by month_date) as first_enough
    from running
),

suppressed as (
    select
        *,
        place <= greatest(last_small, coalesce(first_enough, place)) as is_suppressed
    from judged
    where month_count >= {{ least_cell() }}
),

-- Released events tell who was seen in the year. Were all of those whose groups are not told seen in this month, the
-- groups would be known.
in_years as (
    select
        year_number,
        age_group,
        gender,
        state,
        count(distinct patient_key) as year_count
    from grouped
    group by year_number, age_group, gender, state
),

years as (
    select
        in_years.*,
        sum(in_years.year_count) over (partition by in_years.year_number) as all_count
    from in_years
),

told as (
    select
        suppressed.*,
        years.all_count
        - sum(
            case when suppressed.is_suppressed then suppressed.person_count else years.year_count end
        ) over (partition by suppressed.month_date) as unseen_count
    from suppressed
    inner join years
        on
            suppressed.year_number = years.year_number
            and suppressed.age_group = years.age_group
            and suppressed.gender = years.gender
            and suppressed.state = years.state
)

select
    {{ surrogate_key(["'population'", 'month_date', 'age_group', 'gender', 'state']) }} as population_cell_key,
    month_date,
    age_group,
    gender,
    state,
    cast(person_count as bigint) as person_count
from told
where not is_suppressed and unseen_count >= {{ least_cell() }}
union all
select
    {{ surrogate_key(["'population'", 'month_date', "'suppressed'", "'suppressed'", "'suppressed'"]) }},
    month_date,
    'suppressed',
    'suppressed',
    'suppressed',
    cast(sum(person_count) as bigint)
from told
where is_suppressed and unseen_count >= {{ least_cell() }}
group by month_date
