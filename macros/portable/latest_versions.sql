{#  The latest version of each record of a log, deleted records left out.

    `only` is a condition on the log (aliased `log`) that bounds which records are looked at. It must hold for all
    versions of a record or for none, or versions would be missed.

    Of versions with one time and one revision the one that was observed last is the latest; of those observed together
    the one of the greatest content, column by column. The order of loading decides nothing.

    Engines differ in what they plan well. DuckDB ranks in parallel, and of a whole log ranks only what has several versions:
    to find these takes a third of what ranking all takes. Postgres takes `rank = 1` for a handful of rows
    and then joins them in nested loops, which doesn't end on millions; of `distinct on` it expects what comes. #}
{% macro latest_versions(relation, key, only=none) -%}
    {{ return(adapter.dispatch('latest_versions', 'granary')(relation, [key] if key is string else key, only)) }}
{%- endmacro %}

{% macro duckdb__latest_versions(relation, keys, only) -%}
    {%- set changed_keys -%}
    join (
        select {{ keys | join(', ') }} from {{ relation }} group by {{ keys | join(', ') }} having count(*) > 1
    ) as changed
        on {% for key in keys %}log.{{ key }} is not distinct from changed.{{ key }}{{ ' and ' if not loop.last }}{% endfor %}
    {%- endset %}
    (
        {%- if not only %}
        select log.*, 1 as version_rank
        from {{ relation }} as log
        anti {{ changed_keys }}
        where not log.is_deleted
        union all
        {%- endif %}
        select ranked.*
        from (
            select
                log.*,
                row_number() over (
                    partition by log.{{ keys | join(', log.') }}
                    order by
                        log.valid_at desc, log.source_revision desc, log.observed_at desc
                        {{- then_by_content(relation) }}
                ) as version_rank
            from {{ relation }} as log
            {{ 'where ' ~ only if only else 'semi ' ~ changed_keys }}
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
                log.{{ keys | join(', log.') }}, log.valid_at desc, log.source_revision desc, log.observed_at desc
                {{- then_by_content(relation) }}
        ) as latest_version
        where not latest_version.is_deleted
    )
{%- endmacro %}

{#  What follows in an `order by`, so that no two versions that differ are equal. Sorting by the columns themselves costs
    next to nothing, since hardly any are compared; a hash would be computed for every version. #}
{% macro then_by_content(relation) -%}
    {%- set of_the_log = ['valid_at', 'source_revision', 'observed_at', 'load_id'] -%}
    {%- set node = model_named(relation.identifier | replace('__dbt__cte__', '')) -%}
    {%- set built = adapter.get_relation(database=node.database, schema=node.schema, identifier=node.alias) if node -%}
    {%- for column in (adapter.get_columns_in_relation(built) if built else [])
        if column.name | lower not in of_the_log -%}
        , {{ in_byte_order('log.' ~ column.name) if column.is_string() else 'log.' ~ column.name }} desc nulls last
    {%- endfor -%}
{%- endmacro %}

{# A text, to be sorted as all engines sort it: by its bytes, and not by a language. #}
{% macro in_byte_order(text) -%}
    {{ return(adapter.dispatch('in_byte_order', 'granary')(text)) }}
{%- endmacro %}

{% macro duckdb__in_byte_order(text) -%}{{ text }}{%- endmacro %}

{% macro postgres__in_byte_order(text) -%}{{ text }} collate "C"{%- endmacro %}
