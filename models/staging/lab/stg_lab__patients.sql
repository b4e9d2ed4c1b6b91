with source as (
    select * from {{ source('lab', 'patients') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        message_id,
        segment_number,
        patient_number,
        -- A number is one of whoever gave it: two may give the same to two people.
        medical_record_number || '|' || coalesce(medical_record_assigner, '') as patient_source_id,
        medical_record_number as medical_record_number_token,
        medical_record_assigner as patient_assigner,
        ssn as ssn_token,
        identifier as identifier_token,
        family_name as family_name_token,
        given_name as given_name_token,
        name as name_token,
        street as street_token,
        phone as phone_token,
        email as email_token,
        account_number as account_token,
        visit_number as visit_token,
        {{ hl7_time('birth_date', 'birth') }},
        {{ folded_up('sex') }} as sex_code,
        race as race_code,
        ethnicity as ethnicity_code,
        city,
        state,
        postal_code,
        country,
        {{ folded_up('patient_class') }} as patient_class,
        coalesce({{ folded_up('is_deceased') }} = 'Y', false) as is_deceased,
        {{ hl7_time('deceased_time', 'deceased') }},
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from source
)

select * from renamed
