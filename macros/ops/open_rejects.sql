{#  A select of what rejects that no later version has mended say of one field: one row, `value`, for each. What the
    records of a source can't add up to while a part of them waits is then left out of the comparison. #}
{% macro open_rejects(source_id, resource_name, field) -%}
    select {{ json_text('records.record', [field]) }} as value
    from {{ source(source_id, 'rejects') }} as records
    inner join {{ ref('ops_rejects') }} as judged
        on {{ surrogate_key(["'" ~ source_id ~ "'", 'records.reject_id']) }} = judged.reject_key
    where records.resource = '{{ resource_name }}' and not judged.is_resolved
{%- endmacro %}
