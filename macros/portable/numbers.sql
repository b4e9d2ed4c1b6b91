{#  The product of an amount, which has no more than `places` decimal places, and a factor, exactly.

    DuckDB gives a product of decimals as many digits as both have together, but no more than 18 where neither has more:
    from 1,000,000.0000 times a rate of 8 places on, it breaks off. So the amount is widened first. #}
{% macro product(amount, factor, places=4) -%}
    (cast({{ amount }} as numeric(38, {{ places }})) * {{ factor }})
{%- endmacro %}

{#  An amount, which has no more than 4 decimal places, at a rate of no more than 8, rounded half away from zero to 4.

    DuckDB multiplies and rounds numbers of more than 18 digits twenty times slower than others, and hardly any amount at a
    rate has so many. #}
{% macro at_rate(amount, rate) -%}
    {{ return(adapter.dispatch('at_rate', 'granary')(amount, rate)) }}
{%- endmacro %}

{% macro default__at_rate(amount, rate) -%}
    cast({{ product(amount, rate) }} as numeric(28, 4))
{%- endmacro %}

{% macro duckdb__at_rate(amount, rate) -%}
    case
        when {{ amount }} between -99999 and 99999 and {{ rate }} between 0 and 9 then cast(
            cast(cast({{ amount }} as numeric(9, 4)) * cast({{ rate }} as numeric(9, 8)) as numeric(18, 4))
            as numeric(28, 4)
        )
        else cast(round({{ product(amount, rate) }}, 4) as numeric(28, 4))
    end
{%- endmacro %}

{#  `dividend` by `divisor` as numeric(28,6), rounded half away from zero; null where the divisor is null or 0.

    Dividing makes a float on one engine and an integer on another, and even decimals are rounded differently, so
    the quotient is made from whole numbers, exactly. Both are taken with 8 decimal places. #}
{% macro safe_divide(dividend, divisor) -%}
    {%- set top = 'abs(' ~ eight_places(dividend) ~ ')' -%}
    {%- set bottom = 'abs(' ~ eight_places(divisor) ~ ')' -%}
    case
        when ({{ divisor }}) <> 0 then cast(
            case when (({{ dividend }}) < 0) <> (({{ divisor }}) < 0) then -0.000001 else 0.000001 end
            * cast({{ whole_quotient(top ~ ' * 2000000 + ' ~ bottom, bottom ~ ' * 2') }} as numeric(32, 0))
            as numeric(28, 6)
        )
    end
{%- endmacro %}

{# A number with 8 decimal places, as the whole number of its hundred-millionths. #}
{% macro eight_places(number) -%}
    {{ return(adapter.dispatch('eight_places', 'granary')(number)) }}
{%- endmacro %}

{% macro duckdb__eight_places(number) -%}
    cast(cast({{ number }} as numeric(30, 8)) * 100000000 as hugeint)
{%- endmacro %}

{% macro postgres__eight_places(number) -%}
    (cast({{ number }} as numeric(30, 8)) * 100000000)
{%- endmacro %}

{# The whole part of the quotient of two whole numbers that are not negative. #}
{% macro whole_quotient(dividend, divisor) -%}
    {{ return(adapter.dispatch('whole_quotient', 'granary')(dividend, divisor)) }}
{%- endmacro %}

{% macro duckdb__whole_quotient(dividend, divisor) -%}(({{ dividend }}) // ({{ divisor }})){%- endmacro %}

{% macro postgres__whole_quotient(dividend, divisor) -%}div({{ dividend }}, {{ divisor }}){%- endmacro %}

{# The median of a group's values, as a float: between the two in the middle where their number is even. #}
{% macro median(number) -%}
    percentile_cont(0.5) within group (order by cast({{ number }} as double precision))
{%- endmacro %}
