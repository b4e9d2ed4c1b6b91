with source as (
    select * from {{ source('lab', 'pids') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        message_id,
        medical_record_number as patient_source_id,
        ssn as ssn_token,
        family_name as family_name_token,
        given_name as given_name_token,
        cast(birth_date as date) as birth_date,
        'day' as birth_precision,
        street as street_token,
        postal_code,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from source
)

select * from renamed
