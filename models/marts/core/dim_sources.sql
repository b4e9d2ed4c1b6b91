-- noqa: disable=LT02
-- The sources of the domains that are on, as the project's list has them, and what the warehouse adds itself.
with sources as (
    {%- for source in named_sources() %}
    select
        '{{ source.source_id }}' as source_id,
        '{{ dbt.escape_single_quotes(source.name) }}' as source_name,
        '{{ source.kind }}' as source_kind,
        '{{ dbt.escape_single_quotes(source.description) }}' as source_description
    union all
    {%- endfor %}
    select
        'granary' as source_id,
        'Granary' as source_name,
        'seed' as source_kind,
        'What the warehouse adds itself, from reference data kept in this repository' as source_description
)

select
    {{ surrogate_key(["'source'", 'source_id']) }} as source_key,
    cast(source_id as {{ dbt.type_string() }}) as source_id,
    cast(source_name as {{ dbt.type_string() }}) as source_name,
    cast(source_kind as {{ dbt.type_string() }}) as source_kind,
    cast(source_description as {{ dbt.type_string() }}) as source_description
from sources
