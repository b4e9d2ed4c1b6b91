{#  A date that a session keeps under a name: to both planners it is a constant, while the statement that reads it stays the
    same. #}

{# A statement that keeps the date which a select finds. #}
{% macro keep_date(name, select) -%}
    {{ return(adapter.dispatch('keep_date', 'granary')(name, select)) }}
{%- endmacro %}

{% macro duckdb__keep_date(name, select) -%}
    set variable {{ name }} = ({{ select }});
{%- endmacro %}

{% macro postgres__keep_date(name, select) -%}
    do $keep$ begin
        perform set_config('granary.{{ name }}', coalesce(cast(({{ select }}) as text), ''), true);
    end $keep$;
{%- endmacro %}

{# The date that is kept, null where none was found. #}
{% macro kept_date(name) -%}
    {{ return(adapter.dispatch('kept_date', 'granary')(name)) }}
{%- endmacro %}

{% macro duckdb__kept_date(name) -%}cast(getvariable('{{ name }}') as date){%- endmacro %}

{% macro postgres__kept_date(name) -%}cast(nullif(current_setting('granary.{{ name }}'), '') as date){%- endmacro %}
