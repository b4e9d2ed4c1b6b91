-- What a day's loads brought, judged by the days before; docs/decisions/anomalies.md gives the rule.
{%- set days_before = 30 %}
{%- set least_days = 7 %}
with loads as (
    select * from {{ ref('ops_extracts') }}
),

profiles as (
    select * from {{ ref('ops_column_profiles') }}
),

-- One value for each check of a table, or of its column, and day; a difference below the tolerances is none.
measured as (
    select
        'volume' as check_name,
        source_id,
        resource_name,
        '' as column_name,
        cast(observed_at as date) as observed_date,
        cast(sum(loaded_count) as double precision) as observed_value,
        0.5 as tolerated_share,
        20 as tolerated_value
    from loads
    group by source_id, resource_name, cast(observed_at as date)
    union all
    select
        'age' as check_name,
        source_id,
        resource_name,
        '' as column_name,
        cast(observed_at as date) as observed_date,
        cast(max(age_seconds) as double precision) as observed_value,
        0.5 as tolerated_share,
        3600 as tolerated_value
    from loads
    where age_seconds is not null
    group by source_id, resource_name, cast(observed_at as date)
    union all
    select
        'null rate' as check_name,
        source_id,
        resource_name,
        column_name,
        cast(observed_at as date) as observed_date,
        cast(sum(null_count) as double precision) / sum(row_count) as observed_value,
        0 as tolerated_share,
        0.05 as tolerated_value
    from profiles
    group by source_id, resource_name, column_name, cast(observed_at as date)
    having sum(row_count) >= 20
),

days as (
    select
        *,
        check_name || ' ' || source_id || ' ' || resource_name || ' ' || column_name as series_name,
        row_number() over (
            partition by check_name, source_id, resource_name, column_name
            order by observed_date
        ) as day_number,
        lag(observed_date, 1, observed_date) over (
            partition by check_name, source_id, resource_name, column_name
            order by observed_date
        ) as date_before,
        max(observed_date) over (partition by source_id) as last_date
    from measured
),

paired as (
    select
        days.series_name,
        days.day_number,
        days.observed_value,
        earlier.observed_value as earlier_value
    from days
    inner join days as earlier
        on
            days.series_name = earlier.series_name
            and earlier.day_number between days.day_number - {{ days_before }} and days.day_number - 1
    where days.observed_date > {{ add_days('days.last_date', -days_before) }}
),

medians as (
    select
        series_name,
        day_number,
        count(*) as earlier_day_count,
        {{ median('earlier_value') }} as expected_value,
        sum(case when earlier_value <= observed_value then 1 else 0 end) as as_low_count,
        sum(case when earlier_value >= observed_value then 1 else 0 end) as as_high_count
    from paired
    group by series_name, day_number
    having count(*) >= {{ least_days }}
),

spreads as (
    select
        paired.series_name,
        paired.day_number,
        {{ median('abs(paired.earlier_value - medians.expected_value)') }} as median_deviation
    from paired
    inner join medians on paired.series_name = medians.series_name and paired.day_number = medians.day_number
    group by paired.series_name, paired.day_number
),

judged as (
    select
        days.*,
        max(days.date_before) over (partition by days.series_name) as last_whole_date,
        medians.earlier_day_count,
        medians.expected_value,
        medians.as_low_count,
        medians.as_high_count,
        greatest(
            3.5 * 1.4826 * spreads.median_deviation,
            days.tolerated_share * medians.expected_value,
            days.tolerated_value
        ) as tolerance
    from days
    inner join medians on days.series_name = medians.series_name and days.day_number = medians.day_number
    inner join spreads on days.series_name = spreads.series_name and days.day_number = spreads.day_number
)

select
    {{ surrogate_key(['series_name', 'observed_date']) }} as anomaly_check_key,
    check_name,
    source_id,
    resource_name,
    nullif(column_name, '') as column_name,
    observed_date,
    observed_date >= case when check_name = 'volume' then last_whole_date else last_date end as is_latest,
    cast(earlier_day_count as bigint) as earlier_day_count,
    cast(observed_value as numeric(28, 6)) as observed_value,
    cast(expected_value as numeric(28, 6)) as expected_value,
    cast(greatest(expected_value - tolerance, 0) as numeric(28, 6)) as lowest_expected_value,
    cast(expected_value + tolerance as numeric(28, 6)) as highest_expected_value,
    case
        when observed_value > expected_value + tolerance then as_high_count * 10 < earlier_day_count
        -- That records are young is no trouble, and a day that is not over may yet bring more.
        when check_name = 'age' or (check_name = 'volume' and observed_date = last_date) then false
        when observed_value < expected_value - tolerance then as_low_count * 10 < earlier_day_count
        else false
    end as is_anomalous
from judged
