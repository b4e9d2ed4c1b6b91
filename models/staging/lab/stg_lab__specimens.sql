with source as (
    select * from {{ source('lab', 'specimens') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        message_id,
        segment_number,
        patient_number,
        order_number,
        specimen_number,
        coalesce(filler_specimen_id, placer_specimen_id) as specimen_id,
        specimen_type_code,
        specimen_type_text as specimen_type_name,
        specimen_type_system,
        {{ folded_up('specimen_role') }} as specimen_role_code,
        reject_reason_code,
        {{ hl7_time('collected_time', 'collected') }},
        {{ hl7_at('collected_end_time') }} as collected_until_at,
        {{ hl7_time('received_time', 'received') }},
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from source
)

select * from renamed
