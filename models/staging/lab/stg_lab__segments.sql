with source as (
    select * from {{ source('lab', 'segments') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        message_id,
        segment_number,
        patient_number,
        order_number,
        segment_type,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from source
)

select * from renamed
