{#  How the columns of a table with a contract lie on disk.

    Amounts have 28 digits, and DuckDB takes fifty times longer to read numbers of more than 18 that are packed than plain ones:
    1 s of CPU for each column of six million lines. So amounts lie there as they are, in all that is ever written to the table.
    Postgres packs nothing. #}
{% macro duckdb__get_table_columns_and_constraints() -%}
    {%- set amount = 'numeric(28,4)' -%}
    {{ dbt.table_columns_and_constraints() | replace(amount, amount ~ ' using compression uncompressed') }}
{%- endmacro %}
