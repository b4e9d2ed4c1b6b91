{# Made from views/procedure_performers.json by `make fhir-view`: change that. #}
{% set each_1_paths = [['actor', 'reference'], ['function', 'coding', 0, 'code'], ['function', 'coding', 0,
    'system'], ['function', 'coding', 0, 'display']] %}
with source as (
    select * from {{ source('fhir', 'procedures') }}
    where {{ from_completed_load() }}
),

each_1 as (
    select source.*, each_1_rows.each_1, each_1_rows.each_1_position
    from source
    cross join lateral {{ json_rows(json_place_list('source.performer', []), 'each_1') }}
),

renamed as (
    select
        id as procedure_id,
        patient_id,
        cast((each_1_position - 1) as bigint) as performer_index,
        {{ fhir_reference_key(json_values_text('each_1', each_1_paths, 1), 'Practitioner') }} as practitioner_id,
        {{ json_values_text('each_1', each_1_paths, 1) }} as practitioner_reference,
        {{ json_values_text('each_1', each_1_paths, 2) }} as function_code,
        {{ json_values_text('each_1', each_1_paths, 3) }} as function_system,
        {{ json_values_text('each_1', each_1_paths, 4) }} as function_display,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from each_1
)

select * from renamed
