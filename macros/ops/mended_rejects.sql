{#  A select of the rejects that a later good version of the same record has mended: source_id, reject_id, mended_at.

    `record_key` of a reject is a JSON array of its table's reject key; a version mends it that has the same key, and a
    higher source revision, or the same one and was seen later: then it was the contract that was mended. The statement
    asks nothing before, so that it is the same for every batch; engines don't read a table that has no rejects. #}
{% macro mended_rejects(source_ids) -%}
    {%- set parts = [] -%}
    {%- for source_id in (source_ids if execute else []) -%}
        {%- set rejects = source(source_id, 'rejects') -%}
        {%- for node in graph.sources.values() if node.source_name == source_id and node.config.meta.get('key') -%}
            {%- set meta = node.config.meta -%}
            {%- set keys = [] -%}
            {%- for column in meta.get('reject_key', meta.key) -%}
                {%- set text = 'cast(versions.' ~ adapter.quote(column) ~ ' as ' ~ dbt.type_string() ~ ')' -%}
                {%- do keys.append('cast(to_json(' ~ text ~ ') as ' ~ dbt.type_string() ~ ')') -%}
            {%- endfor -%}
            {%- do parts.append(
                "select '" ~ source_id ~ "' as source_id, rejects.reject_id, min(versions._observed_at) as mended_at\n"
                ~ "    from " ~ rejects ~ " as rejects\n"
                ~ "    inner join " ~ source(source_id, node.name) ~ " as versions\n"
                ~ "        on rejects.record_key = '[' || " ~ keys | join(" || ',' || ") ~ " || ']'\n"
                ~ "        and (versions._revision > rejects._revision or (versions._revision = rejects._revision\n"
                ~ "            and versions._observed_at > rejects._observed_at)) and versions." ~ from_completed_load() ~ "\n"
                ~ "    where rejects.resource = '" ~ node.name ~ "'\n"
                ~ "    group by rejects.reject_id"
            ) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- if parts -%}
        {{ parts | join('\n    union all\n    ') }}
    {%- else -%}
        {{ no_rows({'source_id': 'text', 'reject_id': 'text', 'mended_at': 'timestamp'}) }}
    {%- endif -%}
{%- endmacro %}
