{# Made from views/encounter_diagnoses.json by `make fhir-view`: change that. #}
{% set each_1_paths = [['condition', 'reference'], ['use', 'coding', 0, 'code'], ['use', 'coding', 0, 'system'],
    ['use', 'coding', 0, 'display'], ['rank']] %}
with source as (
    select * from {{ source('fhir', 'encounters') }}
    where {{ from_completed_load() }}
),

each_1 as (
    select source.*, each_1_rows.each_1, each_1_rows.each_1_position
    from source
    cross join lateral {{ json_rows(json_place_list('source.diagnosis', []), 'each_1') }}
),

renamed as (
    select
        id as encounter_id,
        patient_id,
        cast((each_1_position - 1) as bigint) as diagnosis_index,
        {{ fhir_reference_key(json_values_text('each_1', each_1_paths, 1), 'Condition') }} as condition_id,
        {{ json_values_text('each_1', each_1_paths, 1) }} as condition_reference,
        {{ json_values_text('each_1', each_1_paths, 2) }} as use_code,
        {{ json_values_text('each_1', each_1_paths, 3) }} as use_system,
        {{ json_values_text('each_1', each_1_paths, 4) }} as use_display,
        {{ fhir_integer(json_values_text('each_1', each_1_paths, 5)) }} as diagnosis_rank,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from each_1
)

select * from renamed
