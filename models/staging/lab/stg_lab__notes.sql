with source as (
    select * from {{ source('lab', 'notes') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        message_id,
        segment_number,
        patient_number,
        order_number,
        belongs_to,
        {{ folded_up('note_type') }} as note_type_code,
        {{ folded_up('source_of_note') }} as note_source_code,
        coalesce(note_length, 0) > 0 as has_text,
        coalesce(note_length, 0) as note_length,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from source
)

select * from renamed
