{# Made from views/observation_references.json by `make fhir-view`: change that. #}
with source as (
    select * from {{ source('fhir', 'observations') }}
    where {{ from_completed_load() }}
),

each_1 as (
    select source.*, each_1_rows.each_1, each_1_rows.each_1_position
    from source
    cross join lateral {{ json_rows(json_place_list('source.has_member', []), 'each_1') }}
),

each_2 as (
    select source.*, each_2_rows.each_2, each_2_rows.each_2_position
    from source
    cross join lateral {{ json_rows(json_place_list('source.derived_from', []), 'each_2') }}
),

renamed as (
    select
        id as observation_id,
        patient_id,
        'has-member' as relation,
        cast((each_1_position - 1) as bigint) as reference_index,
        {{ fhir_reference_key(json_value_text('each_1', ['reference']),
            'Observation') }} as related_observation_id,
        {{ json_value_text('each_1', ['reference']) }} as related_observation_reference,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from each_1
    union all
    select
        id as observation_id,
        patient_id,
        'derived-from' as relation,
        cast((each_2_position - 1) as bigint) as reference_index,
        {{ fhir_reference_key(json_value_text('each_2', ['reference']),
            'Observation') }} as related_observation_id,
        {{ json_value_text('each_2', ['reference']) }} as related_observation_reference,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from each_2
)

select * from renamed
