with source as (
    select * from {{ source('fhir', 'patients') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        id as patient_id,
        ssn as ssn_token,
        given_name as given_name_token,
        family_name as family_name_token,
        birth_date as birth_text,
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
