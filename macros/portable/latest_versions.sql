{#  The latest version of each record of a log, deleted records left out.

    `only` is a condition on the log (aliased `log`) that bounds which records are looked at. It must hold for all
    versions of a record or for none, or versions would be missed.

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
                    order by log.valid_at desc, log.source_revision desc
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
            order by log.{{ keys | join(', log.') }}, log.valid_at desc, log.source_revision desc
        ) as latest_version
        where not latest_version.is_deleted
    )
{%- endmacro %}
