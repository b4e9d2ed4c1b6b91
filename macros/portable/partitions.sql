{#  Large facts lie in partitions on Postgres, one for each month of the day that `meta.partition_by_month` names: a question
    about a month reads that month, statistics are each month's own, and a month that is over is written to no more. A month's
    partition is made before its first row comes; rows without a day have one of their own. DuckDB keeps the smallest and greatest
    value of each block of rows, and skips blocks by them: it needs none.

    Partitions lie in a schema of their own, where nobody is let in: readers, with their row policies, come by the fact.
    Their names end with the number that Postgres gave the fact, since two generations, and a full build beside what it
    replaces, have the same months. #}

{% macro partition_day() -%}
    {{ return((config.get('meta') or {}).get('partition_by_month')) }}
{%- endmacro %}

{% macro postgres__create_table_as(temporary, relation, sql) -%}
    {%- if temporary or not partition_day() -%}
        {{ return(dbt.postgres__create_table_as(temporary, relation, sql)) }}
    {%- endif -%}
    {%- set rows = 'rows_of__' ~ model.name -%}
    {%- set columns = adapter.dispatch('get_column_names', 'dbt')() -%}
    {{ get_assert_columns_equivalent(sql) }}
    create table {{ relation }} {{ get_table_columns_and_constraints() }} partition by range ({{ partition_day() }});
    create temporary table {{ rows }} on commit drop as
    {{ sql }};
    {{ month_partitions(relation, rows) }}
    insert into {{ relation }} ({{ columns }})
    select {{ columns }}
    from {{ rows }}
    order by {{ partition_day() }};
{%- endmacro %}

{# Statements that make the partitions that `rows`, a table, need in `relation` and that it has not. #}
{% macro month_partitions(relation, rows) -%}
    {{ return(adapter.dispatch('month_partitions', 'granary')(relation, rows)) }}
{%- endmacro %}

{% macro duckdb__month_partitions(relation, rows) -%}{%- endmacro %}

{% macro postgres__month_partitions(relation, rows) -%}
    {%- if partition_day() -%}
    {%- set schema = schema_prefix() ~ 'partitions' -%}
    do $months$
    declare
        fact constant oid := '{{ relation }}'::regclass;
        wanted record;
    begin
        for wanted in
            select distinct
                date_trunc('month', {{ partition_day() }})::date as first_day,
                '{{ model.name }}_' || coalesce(to_char({{ partition_day() }}, 'YYYY_MM_'), 'undated_') || fact as name
            from {{ rows }}
        loop
            continue when to_regclass(format('{{ schema }}.%I', wanted.name)) is not null;
            execute format('create table {{ schema }}.%I partition of {{ relation }} ', wanted.name) || case
                when wanted.first_day is null then 'default'
                else format(
                    'for values from (%L) to (%L)', wanted.first_day, (wanted.first_day + interval '1 month')::date
                )
            end;
        end loop;
    end $months$;
    {%- endif -%}
{%- endmacro %}
