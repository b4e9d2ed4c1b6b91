{#  Dates and times. Timestamps are UTC without a time zone; a zone's rules come from the engine's time zone data.
    Every macro casts what it takes and what it gives: engines differ in what truncating or subtracting dates makes. #}

{# The business day of a UTC timestamp: the date that the clock on the wall showed in `business_timezone`. #}
{% macro business_date(timestamp) -%}
    cast(timezone('{{ var("business_timezone") }}', timezone('UTC', cast({{ timestamp }} as timestamp))) as date)
{%- endmacro %}

{#  The UTC timestamp of a local time. Of an hour that the clock shows twice, the second is meant; an hour that it
    skips counts on from the hour before. A date means its midnight. #}
{% macro local_to_utc(local_time, timezone) -%}
    timezone('UTC', timezone('{{ timezone }}', cast({{ local_time }} as timestamp)))
{%- endmacro %}

{# The UTC timestamp at which a business day ends: what begins then is of the next day. #}
{% macro business_day_end(date) -%}
    {{ local_to_utc(add_days(date, 1), var('business_timezone')) }}
{%- endmacro %}

{# The first day of a date's month. Truncating a date makes a timestamp with or without a zone, so it is cast. #}
{% macro month_start(date) -%}
    cast(date_trunc('month', cast({{ date }} as timestamp)) as date)
{%- endmacro %}

{# The last day of a date's month: 31 days after its first is always in the next. #}
{% macro month_end(date) -%}
    {{ add_days(month_start(add_days(month_start(date), 31)), -1) }}
{%- endmacro %}

{# The first day of a date's year. #}
{% macro year_start(date) -%}
    cast(date_trunc('year', cast({{ date }} as timestamp)) as date)
{%- endmacro %}

{# The last day of a date's year: 366 days after its first is always in the next. #}
{% macro year_end(date) -%}
    {{ add_days(year_start(add_days(year_start(date), 366)), -1) }}
{%- endmacro %}

{# The Monday of a date's week. #}
{% macro week_start(date) -%}
    cast(date_trunc('week', cast({{ date }} as timestamp)) as date)
{%- endmacro %}

{# Whole days from one date to another, negative where the other is earlier. Engines differ in the integer's size. #}
{% macro days_between(first_date, second_date) -%}
    cast(cast({{ second_date }} as date) - cast({{ first_date }} as date) as integer)
{%- endmacro %}

{# Months from the month of one date to the month of another, negative where the other is earlier. #}
{% macro months_between(first_date, second_date) -%}
    cast(
        (extract(year from cast({{ second_date }} as date)) - extract(year from cast({{ first_date }} as date))) * 12
        + extract(month from cast({{ second_date }} as date)) - extract(month from cast({{ first_date }} as date))
        as integer
    )
{%- endmacro %}

{# The date so many days later, or earlier where `days` is negative. #}
{% macro add_days(date, days) -%}
    cast(cast({{ date }} as date) + cast({{ days }} as integer) as date)
{%- endmacro %}

{# A row for each day from one date to another, both included, as a select with the column `date_day`; for columns of another
   relation, in a lateral join. #}
{% macro date_series(first_date, last_date) -%}
    select cast(days.day_at as date) as date_day
    from generate_series(
        cast({{ first_date }} as timestamp), cast({{ last_date }} as timestamp), interval '1 day'
    ) as days (day_at)
{%- endmacro %}

{# The English name of a date's month. #}
{% macro month_name(date) -%}
    {{ return(adapter.dispatch('month_name', 'granary')(date)) }}
{%- endmacro %}

{% macro duckdb__month_name(date) -%}monthname(cast({{ date }} as date)){%- endmacro %}

{% macro postgres__month_name(date) -%}to_char(cast({{ date }} as date), 'FMMonth'){%- endmacro %}

{# The English name of a date's day of the week. #}
{% macro day_name(date) -%}
    {{ return(adapter.dispatch('day_name', 'granary')(date)) }}
{%- endmacro %}

{% macro duckdb__day_name(date) -%}dayname(cast({{ date }} as date)){%- endmacro %}

{% macro postgres__day_name(date) -%}to_char(cast({{ date }} as date), 'FMDay'){%- endmacro %}
