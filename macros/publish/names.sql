{# Where things lie. Marts are built in a generation that readers don't see: on DuckDB that is a file of its own
   with the published schema names, on Postgres a schema with `__next` behind its name. #}

{% macro is_published(node) -%}
    {{ return(node is not none and node.resource_type in ['model', 'unit_test']
        and (node.config.meta or {}).get('published', false)) }}
{%- endmacro %}

{# The project's model of this name, while something is executed; none where there is no such. dbt makes a node anew each time
   that it is asked for one, so a loop over all of them costs more than most models. #}
{% macro model_named(name) -%}
    {{ return(graph.nodes.get('model.' ~ model.package_name ~ '.' ~ name) if execute else none) }}
{%- endmacro %}

{% macro schema_prefix() -%}
    {{ return(target.schema ~ '_' if target.name == 'sandbox' else '') }}
{%- endmacro %}

{# A mart's schema is called as its folder, so that a domain needs no configuration; as both folders, where it lies in one
   within the domain's (`schemas_of` in ingestion/domains.py). #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- set folders = node.fqn[2:-1] if node.resource_type == 'model' else node.fqn[2:3] -%}
    {%- set is_mart = node.fqn[1] == 'marts' and node.resource_type in ['model', 'unit_test'] -%}
    {%- set folder = folders | join('_') if is_mart else 'main' -%}
    {%- set name = schema_prefix() ~ (custom_schema_name or folder) | trim -%}
    {%- if is_published(node) -%}
        {%- set name = name ~ generation_suffix() -%}
    {%- endif -%}
    {{ return(name) }}
{%- endmacro %}

{% macro generate_database_name(custom_database_name=none, node=none) -%}
    {{ return(generation_database() if is_published(node) else target.database) }}
{%- endmacro %}
