{#  The first and the last day of what facts have, as a select of first_date and last_date, a row for each column that counts.

    A fact says in its meta which of its columns count: `calendar: [business_date]`. dbt's graph is empty while it parses, so
    a model that calls this says `reads: calendar` in its own, from which warehouse/dbt.py draws the edges. A day that is
    not known is none. #}
{% macro days_of_facts() -%}
    {%- for unique_id in (model.depends_on.nodes | sort if execute else []) if unique_id.startswith('model.') -%}
    {%- set node = graph.nodes[unique_id] -%}
    {%- for column in (node.config.meta or {}).get('calendar', []) %}
    select
        min({{ column }}) as first_date,
        max({{ column }}) as last_date
    from {{ node.relation_name }}
    where {{ column }} > cast({{ beginning_of_time() }} as date)
    union all
    {%- endfor %}
    {%- endfor %}
    {{ no_rows({'first_date': 'date', 'last_date': 'date'}) }}
{%- endmacro %}
