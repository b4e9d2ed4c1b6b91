{# A generation of the marts: a file of its own on DuckDB, schemas with a suffix on Postgres. #}

{# Reports and docs speak of the published names: run them with `--vars '{published_names: true}'`. #}
{% macro generation_suffix() -%}
    {%- if var('published_names', false) -%}{{ return('') }}{%- endif -%}
    {{ return(adapter.dispatch('generation_suffix', 'granary')()) }}
{%- endmacro %}

{% macro duckdb__generation_suffix() -%}{{ return('') }}{%- endmacro %}

{% macro postgres__generation_suffix() -%}{{ return('__next') }}{%- endmacro %}

{% macro generation_database() -%}
    {{ return(adapter.dispatch('generation_database', 'granary')()) }}
{%- endmacro %}

{% macro duckdb__generation_database() -%}{{ return('marts') }}{%- endmacro %}

{% macro postgres__generation_database() -%}{{ return(target.database) }}{%- endmacro %}
