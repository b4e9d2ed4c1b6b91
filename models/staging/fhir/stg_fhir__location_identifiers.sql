{# Made from views/location_identifiers.json by `make fhir-view`: change that. #}
{% set each_1_paths = [['use'], ['type', 'coding', 0, 'code'], ['type', 'coding', 0, 'system'], ['type',
    'coding', 0, 'display'], ['system'], ['value']] %}
with source as (
    select * from {{ source('fhir', 'locations') }}
    where {{ from_completed_load() }}
),

each_1 as (
    select source.*, each_1_rows.each_1, each_1_rows.each_1_position
    from source
    cross join lateral {{ json_rows(json_place_list('source.identifier', []), 'each_1') }}
),

renamed as (
    select
        id as location_id,
        cast((each_1_position - 1) as bigint) as identifier_index,
        {{ json_values_text('each_1', each_1_paths, 1) }} as identifier_use,
        {{ json_values_text('each_1', each_1_paths, 2) }} as identifier_type_code,
        {{ json_values_text('each_1', each_1_paths, 3) }} as identifier_type_system,
        {{ json_values_text('each_1', each_1_paths, 4) }} as identifier_type_display,
        {{ json_values_text('each_1', each_1_paths, 5) }} as identifier_system,
        {{ json_values_text('each_1', each_1_paths, 6) }} as identifier_value,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from each_1
)

select * from renamed
