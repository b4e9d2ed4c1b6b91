{# Made from views/patient_links.json by `make fhir-view`: change that. #}
with source as (
    select * from {{ source('fhir', 'patients') }}
    where {{ from_completed_load() }}
),

each_1 as (
    select source.*, each_1_rows.each_1, each_1_rows.each_1_position
    from source
    cross join lateral {{ json_rows(json_place_list('source.link', []), 'each_1') }}
),

renamed as (
    select
        id as patient_id,
        cast((each_1_position - 1) as bigint) as link_index,
        {{ fhir_reference_key(json_value_text('each_1', ['other', 'reference']),
            'Patient') }} as linked_patient_id,
        {{ json_value_text('each_1', ['type']) }} as link_type,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from each_1
)

select * from renamed
