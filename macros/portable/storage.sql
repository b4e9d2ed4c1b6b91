{#  A condition for rows of `relation` (aliased `target`) that few meet, when all columns are read. Postgres has an index.
    DuckDB reads all columns of blocks that may hold such a row, which are all where a key says nothing of where it lies: so
    rows are found first, by the condition's columns alone, and then read by their place. #}
{% macro searched_by_key(relation, condition) -%}
    {{ return(adapter.dispatch('searched_by_key', 'granary')(relation, condition)) }}
{%- endmacro %}

{% macro duckdb__searched_by_key(relation, condition) -%}
    target.rowid in (select target.rowid from {{ relation }} as target where {{ condition }})
{%- endmacro %}

{% macro postgres__searched_by_key(relation, condition) -%}{{ condition }}{%- endmacro %}

{#  How the columns of a table with a contract lie on disk.

    Amounts have 28 digits, and DuckDB takes fifty times longer to read numbers of more than 18 that are packed than plain ones:
    1 s of CPU for each column of six million lines. So amounts lie there as they are, in all that is ever written to the table.
    Postgres packs nothing. A lake's files are Parquet; it has no keys, which are tested all the same. #}
{% macro duckdb__get_table_columns_and_constraints() -%}
    {%- set columns = dbt.table_columns_and_constraints() -%}
    {%- set amount = 'numeric(28,4)' -%}
    {%- if adapter.is_ducklake(this) -%}
        {{ columns | replace('primary key', 'not null') }}
    {%- else -%}
        {{ columns | replace(amount, amount ~ ' using compression uncompressed') }}
    {%- endif -%}
{%- endmacro %}

{# A statement that drops a table, and what hangs on it. #}
{% macro dropped(relation) -%}
    {{ return(adapter.dispatch('dropped', 'granary')(relation)) }}
{%- endmacro %}

{% macro default__dropped(relation) -%}drop table {{ relation }} cascade{%- endmacro %}

{# In a lake nothing hangs on a table, and there is no such word. #}
{% macro duckdb__dropped(relation) -%}
    drop table {{ relation }}{{ '' if adapter.is_ducklake(relation) else ' cascade' }}
{%- endmacro %}
