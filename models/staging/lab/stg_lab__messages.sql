with source as (
    select * from {{ source('lab', 'messages') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        message_id,
        segment_number,
        file_name,
        message_number,
        control_id,
        sending_application,
        sending_facility,
        receiving_application,
        receiving_facility,
        {{ folded_up('message_type') }} as message_type,
        {{ folded_up('trigger_event') }} as trigger_event,
        {{ folded_up('processing_id') }} as processing_id,
        version_id,
        character_set,
        {{ hl7_time('message_time', 'sent') }},
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from source
)

select * from renamed
