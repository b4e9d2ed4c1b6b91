with source as (
    select * from {{ source('lab', 'results') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        message_id,
        segment_number,
        patient_number,
        order_number,
        specimen_number,
        belongs_to,
        {{ lab_order_id() }} as order_id,
        {{ lab_order_assigner() }} as order_assigner,
        filler_order_number as filler_order_id,
        placer_order_number as placer_order_id,
        sending_application,
        sending_facility,
        {{ folded_up('message_type') }} as message_type,
        {{ folded_up('value_type') }} as value_type,
        {{ lab_coded('observation', 'code') }} as observation_code,
        {{ lab_coded('observation', 'text') }} as observation_name,
        {{ lab_coded('observation', 'system') }} as observation_system,
        case
            when observation_system = 'LN' then observation_code
            when alternate_observation_system = 'LN' then alternate_observation_code
        end as loinc_code,
        sub_id as observation_sub_id,
        value_list,
        value_count,
        value_length,
        {{ lab_value() }},
        unit_code,
        unit_text as unit_name,
        unit_system,
        reference_range,
        abnormal_flag,
        abnormal_flags,
        {{ folded_up('status') }} as status_code,
        producer_id,
        producer_text as producer_name,
        method_code,
        {{ folded_up('order_status') }} as order_status_code,
        {{ hl7_time('observed_time', 'measured') }},
        {{ hl7_time('order_observed_time', 'collected') }},
        {{ hl7_at('analyzed_time') }} as analyzed_at,
        {{ hl7_at('order_reported_time') }} as reported_at,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from source
)

select * from renamed
