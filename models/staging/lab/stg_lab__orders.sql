with source as (
    select * from {{ source('lab', 'orders') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        message_id,
        segment_number,
        patient_number,
        order_number,
        {{ lab_order_id() }} as order_id,
        {{ lab_order_assigner() }} as order_assigner,
        filler_order_number as filler_order_id,
        placer_order_number as placer_order_id,
        sending_application,
        sending_facility,
        {{ folded_up('message_type') }} as message_type,
        {{ lab_coded('service', 'code') }} as service_code,
        {{ lab_coded('service', 'text') }} as service_name,
        {{ lab_coded('service', 'system') }} as service_system,
        diagnostic_service as section_code,
        {{ folded_up('status') }} as status_code,
        {{ folded_up('order_control') }} as order_control_code,
        {{ folded_up('order_status') }} as order_status_code,
        parent_filler_order_number as parent_filler_order_id,
        {{ hl7_time('observed_time', 'collected') }},
        {{ hl7_at('observed_end_time') }} as collected_until_at,
        {{ hl7_time('received_time', 'received') }},
        {{ hl7_time('reported_time', 'reported') }},
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from source
)

select * from renamed
