{#  Times as HL7 version 2 writes them: 2014, 201410, …, 20141006064500.1234+0700; each part only after the one before.

    They are sound, as the contract's format `hl7_time` asks. All is done on the text, so that a fraction is cut to
    microseconds and never rounded, and an offset is never dropped. #}

{# The four columns of a time: as it is written, in UTC, its day as written, and how precise it is. #}
{% macro hl7_time(column, event) -%}
    {{ column }} as {{ event }}_text,
    {{ hl7_at(column) }} as {{ event }}_at,
    {{ hl7_date(column) }} as {{ event }}_date,
    {{ hl7_precision(column) }} as {{ event }}_precision
{%- endmacro %}

{#  The timestamp in UTC. A time without an offset is local in the business time zone; of what it leaves out the beginning is
    meant. #}
{% macro hl7_at(text) -%}
    case
        when {{ text }} ~ '^[0-9.]+[+-][0-9]{4}$' then cast({{ _hl7_local(text) }} as timestamp)
            - (case when substr(right({{ text }}, 5), 1, 1) = '-' then -1 else 1 end) * (
                cast(substr(right({{ text }}, 5), 2, 2) as integer) * 60 + cast(right({{ text }}, 2) as integer)
            ) * interval '1 minute'
        else {{ local_to_utc(_hl7_local(text), var('business_timezone')) }}
    end
{%- endmacro %}

{# The day where it was written, whatever day that was in UTC; the first of a month or year that names no day. #}
{% macro hl7_date(text) -%}
    cast(substr({{ _hl7_local(text) }}, 1, 10) as date)
{%- endmacro %}

{# Up to what it is given: year, month, day, hour, minute, second or fraction. #}
{% macro hl7_precision(text) -%}
    case
        when strpos({{ text }}, '.') > 0 then 'fraction'
        else case length({{ _hl7_digits(text) }})
            when 4 then 'year' when 6 then 'month' when 8 then 'day' when 10 then 'hour' when 12 then 'minute' when 14 then 'second'
        end
    end
{%- endmacro %}

{# What stands before a fraction and an offset. #}
{% macro _hl7_digits(text) -%}regexp_replace({{ text }}, '[^0-9].*$', ''){%- endmacro %}

{# The time on the clock where it was written, as text: 2014-10-06 06:45:00.123400. #}
{% macro _hl7_local(text) -%}
    {%- set whole = "(" ~ _hl7_digits(text) ~ " || substr('00000101000000', length(" ~ _hl7_digits(text) ~ ") + 1))" -%}
    {%- set fraction = "case when strpos(" ~ text ~ ", '.') > 0 then left(regexp_replace(" ~ text
        ~ ", '^[0-9]*([.][0-9]*).*$', '\\1'), 7) else '' end" -%}
    (
        substr({{ whole }}, 1, 4) || '-' || substr({{ whole }}, 5, 2) || '-' || substr({{ whole }}, 7, 2) || ' '
        || substr({{ whole }}, 9, 2) || ':' || substr({{ whole }}, 11, 2) || ':' || substr({{ whole }}, 13, 2)
        || {{ fraction }}
    )
{%- endmacro %}
