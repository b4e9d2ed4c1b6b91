{#  FHIR's dates and times, which are as precise as they were known: 1970, 1970-06, 1970-06-01,
    1970-06-01T10:00:00.5+02:00. https://hl7.org/fhir/R4/datatypes.html#dateTime

    What is none of these (a 30th of February, an hour 24, a time without seconds, a second 60) is null, never an error: staging reads what nobody
    judged. Texts are matched before they are cast, as engines differ in what they take for a time. #}

{# The pattern of a day, a time of day and an offset that exist, of which the latter two may be missing. #}
{% macro fhir_moment_pattern() -%}
    {%- set leap = '(0[48]|[2468][048]|[13579][26])' -%}
    {%- set day = '[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)'
        ~ '|02-(0[1-9]|1[0-9]|2[0-8]))|([0-9]{2}' ~ leap ~ '|' ~ leap ~ '00)-02-29' -%}
    {%- set time = '([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]+)?' -%}
    {%- set offset = 'Z|[+-](0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00' -%}
    '^({{ day }})(T{{ time }}({{ offset }})?)?$'
{%- endmacro %}

{# Whether a text is a day that exists, with or without a time. #}
{% macro is_fhir_moment(text) -%}
    ({{ text }} ~ {{ fhir_moment_pattern() }} and {{ text }} not like '0000%')
{%- endmacro %}

{#  A moment without the digits of a second beyond the sixth: cut, which casts do on one engine and round on the other.
    Whether there may be so many is told by the place where the seventh stands. #}
{% macro fhir_cut(text) -%}
    case
        when substring({{ text }}, 27, 1) between '0' and '9'
            then regexp_replace({{ text }}, '([.][0-9]{6})[0-9]+', '\1')
        else {{ text }}
    end
{%- endmacro %}

{# How precise it is: year, month, day, second, millisecond (any fraction); null where it is no date or time. #}
{% macro fhir_precision(text) -%}
    case
        when {{ is_fhir_moment(text) }} then case
            when length({{ text }}) = 10 then 'day'
            when {{ text }} like '%.%' then 'millisecond'
            else 'second'
        end
        when {{ text }} like '0000%' then null
        when {{ text }} ~ '^[0-9]{4}$' then 'year'
        when {{ text }} ~ '^[0-9]{4}-(0[1-9]|1[0-2])$' then 'month'
    end
{%- endmacro %}

{#  The UTC timestamp of a text whose precision is known. Its own offset counts; without one, or of a day, it was local in
    the business's time zone, a day beginning at its midnight. Null of a month or a year: nobody knows the day. #}
{% macro fhir_at(text, precision) -%}
    case
        when {{ precision }} = 'second' and length({{ text }}) > 19 then {{ utc_of_offset(text) }}
        when
            {{ precision }} = 'millisecond'
            and ({{ text }} like '%Z' or substring({{ text }}, length({{ text }}) - 5, 1) in ('+', '-'))
            then {{ utc_of_offset(fhir_cut(text)) }}
        when {{ precision }} in ('day', 'second', 'millisecond')
            then {{ local_to_utc(fhir_cut(text), var('business_timezone')) }}
    end
{%- endmacro %}

{# The date as it is written, where somebody was when it was: never UTC's. Null of a month or a year. #}
{% macro fhir_date(text, precision) -%}
    case when {{ precision }} in ('day', 'second', 'millisecond') then cast(substring({{ text }}, 1, 10) as date) end
{%- endmacro %}

{# The UTC timestamp of a text with an offset. #}
{% macro utc_of_offset(text) -%}
    {{ return(adapter.dispatch('utc_of_offset', 'granary')(text)) }}
{%- endmacro %}

{% macro default__utc_of_offset(text) -%}timezone('UTC', cast({{ text }} as timestamp with time zone)){%- endmacro %}

{#- DuckDB asks its time zone data even of UTC, which takes four times as long. -#}
{% macro duckdb__utc_of_offset(text) -%}
    make_timestamp(epoch_us(cast({{ text }} as timestamp with time zone)))
{%- endmacro %}
