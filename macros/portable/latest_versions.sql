{#  The latest version of each record of a log, deleted records left out.

    `only` is a condition on the log (aliased `log`) that bounds which records are looked at. It must hold for all
    versions of a record or for none, or versions would be missed.

    Of two versions with one time and one revision the greatest content is the latest, as in the snapshots: the order
    of loading decides nothing.

    Engines differ in what they plan well. DuckDB ranks in parallel. Postgres takes `rank = 1` for a handful of rows
    and then joins them in nested loops, which doesn't end on millions; of `distinct on` it expects what comes. #}
{% macro latest_versions(relation, key, only=none) -%}
    {{ return(adapter.dispatch('latest_versions', 'granary')(relation, [key] if key is string else key, only)) }}
{%- endmacro %}

{% macro duckdb__latest_versions(relation, keys, only) -%}
    (
        select ranked.*
        from (
            select
                log.*,
                row_number() over (
                    partition by log.{{ keys | join(', log.') }}
                    order by
                        log.valid_at desc, log.source_revision desc,
                        {{ row_hash(content_columns(relation)) }} desc
                ) as version_rank
            from {{ relation }} as log
            {%- if only %}
            where {{ only }}
            {%- endif %}
        ) as ranked
        where ranked.version_rank = 1 and not ranked.is_deleted
    )
{%- endmacro %}

{% macro postgres__latest_versions(relation, keys, only) -%}
    (
        select latest_version.*
        from (
            select distinct on (log.{{ keys | join(', log.') }}) log.*
            from {{ relation }} as log
            {%- if only %}
            where {{ only }}
            {%- endif %}
            order by
                log.{{ keys | join(', log.') }}, log.valid_at desc, log.source_revision desc,
                {{ row_hash(content_columns(relation)) }} desc
        ) as latest_version
        where not latest_version.is_deleted
    )
{%- endmacro %}

{# What the source said in a version: the columns that its staging model documents, but for those of the log. #}
{% macro content_columns(relation) -%}
    {%- set of_the_log = ['is_deleted', 'valid_at', 'source_revision', 'observed_at', 'load_id'] -%}
    {%- set found = ['log.is_deleted'] -%}
    {%- for node in (graph.nodes.values() if execute else []) -%}
        {%- if node.resource_type == 'model' and node.name == relation.identifier | replace('__dbt__cte__', '') -%}
            {%- for column in node.columns.keys() if column not in of_the_log -%}
                {%- do found.append('log.' ~ column) -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
