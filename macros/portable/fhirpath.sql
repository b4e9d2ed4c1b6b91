{#  What FHIRPath computes of texts. As in fhir_json.sql, a macro needs nothing of dbt but `adapter.dispatch` and
    `return`. #}

{#  The id within a reference, of the type `type` or of any: `Patient/1`, `https://…/Patient/1/_history/2`. A `urn:uuid:`
    says no type, and its UUID is the id; contained, conditional and logical references have none.

    What the reference is taken from stands in the SQL but once: it is mostly a path of JSON. #}
{% macro fhir_reference_key(reference, type) -%}
    {{ return(adapter.dispatch('fhir_reference_key', 'granary')(reference, type)) }}
{%- endmacro %}

{% macro fhir_reference_pattern(type) -%}
    '^(?:urn:uuid:|(?:[^?]*/)?{{ type or "[A-Z][A-Za-z]+" }}/)([^/?]+)(?:/_history/[^/?]+)?$'
{%- endmacro %}

{#- Nearly all references are written plainly, and DuckDB's patterns with groups are five times as slow as others. -#}
{% macro duckdb__fhir_reference_key(reference, type) -%}
    list_transform(
        [{{ reference }}],
        lambda reference: case
            {%- if type %}
            when reference like '{{ type }}/%' and reference not like '{{ type }}/%/%' and not contains(reference, '?')
                then nullif(substring(reference, {{ type | length + 2 }}), '')
            {%- endif %}
            when reference like 'urn:uuid:%' and reference not like '%/%' and not contains(reference, '?')
                then nullif(substring(reference, 10), '')
            when contains(reference, '?') then null
            else nullif(regexp_extract(reference, {{ fhir_reference_pattern(type) }}, 1), '')
        end
    )[1]
{%- endmacro %}

{% macro postgres__fhir_reference_key(reference, type) -%}
    substring({{ reference }} from {{ fhir_reference_pattern(type) }})
{%- endmacro %}

{# The number that a text writes, as numeric(28, 8), rounded half away from zero; null where it is none or too large. #}
{% macro fhir_decimal(text) -%}
    {{ return(adapter.dispatch('fhir_decimal', 'granary')(text)) }}
{%- endmacro %}

{% macro default__fhir_decimal(text) -%}
    case
        when
            {{ text }} ~ '^-?[0-9]{1,20}([.][0-9]+)?$' or {{ text }} ~ '^-?[0-9]([.][0-9]+)?[eE]([+]?1?[0-9]|-[0-9]{1,2})$'
            then cast({{ text }} as numeric(28, 8))
    end
{%- endmacro %}

{#- DuckDB casts texts to decimals of up to 18 digits two hundred times as fast as to larger ones. -#}
{% macro duckdb__fhir_decimal(text) -%}
    case
        when {{ text }} ~ '^-?[0-9]{1,9}([.][0-9]+)?$' then cast(cast({{ text }} as numeric(18, 8)) as numeric(28, 8))
        else {{ default__fhir_decimal(text) }}
    end
{%- endmacro %}

{#  A number's text in one way of writing: without zeros at the end of its fraction, and without an exponent. DuckDB
    writes JSON's numbers anew, so that nobody can tell 2.50 from 2.5. #}
{% macro fhir_number_text(text) -%}
    case
        when {{ text }} ~ '^-?[0-9]+[.][0-9]*0$' then rtrim(rtrim({{ text }}, '0'), '.')
        when {{ text }} ~ '^-?[0-9]([.][0-9]+)?[eE]([+]?1?[0-9]|-[0-9]{1,2})$'
            then rtrim(rtrim(cast(cast({{ text }} as numeric(28, 8)) as text), '0'), '.')
        else {{ text }}
    end
{%- endmacro %}

{# The whole number that a text writes; null where it is none or too large for a bigint. #}
{% macro fhir_integer(text) -%}
    case when {{ text }} ~ '^-?[0-9]{1,18}$' then cast({{ text }} as bigint) end
{%- endmacro %}

{#  The least (`sign` -) or the greatest (+) number that would be written as this one: half a unit of its last digit away.
    http://hl7.org/fhirpath/#lowboundaryprecision-integer-decimal-date-datetime-time #}
{% macro fhir_decimal_boundary(text, sign) -%}
    cast(
        cast({{ text }} as numeric(38, 12))
        {{ sign }} cast('0.' || repeat('0', length(regexp_replace({{ text }}, '^[^.]*[.]?', ''))) || '5' as numeric(38, 12))
        as numeric(28, 8)
    )
{%- endmacro %}

{# The first moment (`end` low) or the last (high) of a date, as a date. #}
{% macro fhir_date_boundary(text, end) -%}
    case length({{ text }})
        when 4 then {{ text }} || '{{ "-01-01" if end == "low" else "-12-31" }}'
        when 7 then {{ text }} || {% if end == 'low' %}'-01'{% else %}'-' || {{ fhir_last_day(text) }}{% endif %}
        else {{ text }}
    end
{%- endmacro %}

{# The number of the last day of a month such as 1970-06. #}
{% macro fhir_last_day(month) -%}
    cast(extract(
        day from cast({{ month }} || '-01' as timestamp) + interval '1 month' - interval '1 day'
    ) as text)
{%- endmacro %}

{# The first or the last moment of a time of day, to milliseconds. #}
{% macro fhir_time_boundary(text, end) -%}
    {%- set rest = '00:00:00.000' if end == 'low' else '23:59:59.999' -%}
    {%- set fraction = '.000' if end == 'low' else '.999' -%}
    case
        when {{ text }} like '%.%' then substring({{ text }} || substring('{{ fraction }}', 2), 1, 12)
        else {{ text }} || substring('{{ rest }}', length({{ text }}) + 1)
    end
{%- endmacro %}

{#  The first or the last moment of a date and time, to milliseconds. Where it has no offset, its first moment was in the
    easternmost time zone and its last in the westernmost. #}
{% macro fhir_datetime_boundary(text, end) -%}
    {%- set offset = '+14:00' if end == 'low' else '-12:00' -%}
    {%- set local = "regexp_replace(" ~ text ~ ", '(Z|[+-][0-9]{2}:[0-9]{2})$', '')" -%}
    case
        when {{ text }} like '%T%' then substring({{ text }}, 1, 11)
            || {{ fhir_time_boundary('substring(' ~ local ~ ', 12)', end) }}
            || case when length({{ text }}) > length({{ local }}) then substring({{ text }}, length({{ local }}) + 1)
                else '{{ offset }}' end
        else {{ fhir_date_boundary(text, end) }} || 'T{{ '00:00:00.000' if end == 'low' else '23:59:59.999' }}{{ offset }}'
    end
{%- endmacro %}

{#  Two dates or times by `=`, `<`, `<=`, `>` or `>=`, as far as both are precise: null where one says less than it takes to
    tell (http://hl7.org/fhirpath/#comparison). Two with offsets are compared in UTC. Fractions of a second beyond the
    ninth digit are left out. #}
{% macro fhir_time_compared(left_text, operator, right_text) -%}
    {%- set first, second = fhir_comparable(left_text), fhir_comparable(right_text) -%}
    case
        when substring({{ first }}, 1, least(length({{ first }}), length({{ second }})))
            <> substring({{ second }}, 1, least(length({{ first }}), length({{ second }})))
            then {{ fhir_bytes(first) }} {{ operator }} {{ fhir_bytes(second) }}
        when length({{ first }}) = length({{ second }}) then {{ 'true' if '=' in operator else 'false' }}
    end
{%- endmacro %}

{# A date or time of which equal beginnings mean equal times: in UTC where it has an offset, fractions filled up. #}
{% macro fhir_comparable(text) -%}
    case
        when {{ text }} ~ '^.*T.*(Z|[+-][0-9]{2}:[0-9]{2})$' then
            replace(substring(cast(timezone('UTC', cast(
                regexp_replace({{ text }}, '[.][0-9]+', '') as timestamp with time zone
            )) as text), 1, 19), ' ', 'T')
            || rpad(coalesce(nullif(regexp_replace({{ text }}, '^[^.]*[.]?([0-9]*).*$', '.\1'), '.'), '.0'), 10, '0')
        when {{ text }} ~ '^.*[0-9]{2}:[0-9]{2}:[0-9]{2}$' then {{ text }} || '.000000000'
        when {{ text }} ~ '^.*[.].*$' then rpad({{ text }}, cast(position('.' in {{ text }}) + 9 as integer), '0')
        else {{ text }}
    end
{%- endmacro %}

{# Text that is compared by its bytes. #}
{% macro fhir_bytes(text) -%}
    {{ return(adapter.dispatch('fhir_bytes', 'granary')(text)) }}
{%- endmacro %}

{% macro default__fhir_bytes(text) -%}({{ text }}){%- endmacro %}

{% macro postgres__fhir_bytes(text) -%}({{ text }}) collate "C"{%- endmacro %}

{# The quotient of two numbers with 8 decimal places, cut; null where the divisor is 0. #}
{% macro fhir_quotient(dividend, divisor) -%}
    {{ return(adapter.dispatch('fhir_quotient', 'granary')(dividend, divisor)) }}
{%- endmacro %}

{#- DuckDB divides decimals as floats, so whole numbers are divided. -#}
{% macro duckdb__fhir_quotient(dividend, divisor) -%}
    case when {{ divisor }} <> 0 then cast(
        (cast(cast({{ dividend }} as numeric(28, 8)) * 100000000 as hugeint) * 100000000)
        // cast(cast({{ divisor }} as numeric(28, 8)) * 100000000 as hugeint) as numeric(38, 0)
    ) * 0.00000001 end
{%- endmacro %}

{% macro postgres__fhir_quotient(dividend, divisor) -%}
    case when {{ divisor }} <> 0 then trunc(
        cast({{ dividend }} as numeric(28, 8)) / cast({{ divisor }} as numeric(28, 8)), 8
    ) end
{%- endmacro %}
