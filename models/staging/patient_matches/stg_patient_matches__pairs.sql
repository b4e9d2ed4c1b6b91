with source as (
    select * from {{ source('patient_matches', 'pairs') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        left_source_id,
        left_record_id as left_patient_id,
        right_source_id,
        right_record_id as right_patient_id,
        verdict,
        model,
        said_by as said_by_token,
        reason as reason_token,
        probability,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from source
)

select * from renamed
