{# What laboratories' messages write, as we call it. Several staging models read the same columns. #}

{#  What tells an order: the laboratory's own number. Where it gives none, that of who ordered; else it is an order of this
    message alone. #}
{% macro lab_order_id() -%}
    coalesce(
        filler_order_number, 'placer ' || placer_order_number, 'message ' || message_id || ' ' || cast(order_number as {{ dbt.type_string() }})
    )
{%- endmacro %}

{# Within what that number is one: by what the number itself says, else by who sent it. #}
{% macro lab_order_assigner() -%}
    coalesce(
        case
            when filler_order_number is not null then coalesce(filler_universal_id, filler_namespace) else placer_namespace
        end,
        sending_facility, sending_application, '-'
    )
{%- endmacro %}

{# A part of a coded element: its own where it has a code, else that of the alternate code. #}
{% macro lab_coded(element, part) -%}
    case when {{ element }}_code is not null then {{ element }}_{{ part }} else alternate_{{ element }}_{{ part }} end
{%- endmacro %}

{#  A number as text in its declared scale; null where it isn't one, or has more digits than that holds. #}
{% macro lab_number(text) -%}
    case
        when {{ text }} ~ '^ *[+-]?([0-9]{1,20}([.][0-9]{0,8}0*)?|[.][0-9]{1,8}0*) *$' then cast({{ text }} as numeric(28, 8))
    end
{%- endmacro %}

{#  The columns of a value by its type (OBX-2): a number of NM and SN, with what SN says of it; a code of coded elements; a
    text of all. A repeated number is none, and stays in the list. #}
{% macro lab_value() -%}
    {%- set type = in_case_of_ascii('value_type', 'upper') -%}
    {%- set coded = type ~ " in ('CE', 'CWE', 'CNE', 'CF')" -%}
    case
        when {{ type }} = 'NM' and value_count = 1 then {{ lab_number('value_text') }}
        when {{ type }} = 'SN' then {{ lab_number('value_component_2') }}
    end as value_number,
    case when {{ type }} = 'SN' then value_component_1 end as value_comparator,
    case when {{ type }} = 'SN' then value_component_3 end as value_separator,
    case when {{ type }} = 'SN' then {{ lab_number('value_component_4') }} end as value_second_number,
    case when {{ coded }} then coalesce(value_component_2, value_component_5, value_component_1) else value_text end as value_text,
    case when {{ coded }} then coalesce(value_component_1, value_component_4) end as value_code,
    case
        when {{ coded }} then case when value_component_1 is not null then value_component_3 else value_component_6 end
    end as value_code_system
{%- endmacro %}
