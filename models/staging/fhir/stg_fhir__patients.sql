{# Made from views/patients.json by `make fhir-view`: change that. #}
{% set marital_status_paths = [['coding', 0, 'code'], ['coding', 0, 'system'], ['coding', 0, 'display']] %}
with source as (
    select * from {{ source('fhir', 'patients') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        id as patient_id,
        last_updated as last_updated_at,
        version_id,
        ssn as ssn_token,
        medical_record_number as medical_record_number_token,
        family_name as family_name_token,
        given_name as given_name_token,
        name as name_token,
        identifier as identifier_token,
        email as email_token,
        phone as phone_token,
        street as street_token,
        city,
        state,
        postal_code,
        country,
        {{ folded('gender') }} as gender,
        birth_date as birth_text,
        deceased_date_time as deceased_text,
        {{ json_places_text('marital_status', marital_status_paths, 1) }} as marital_status_code,
        {{ json_places_text('marital_status', marital_status_paths, 2) }} as marital_status_system,
        {{ json_places_text('marital_status', marital_status_paths, 3) }} as marital_status_display,
        race as race_code,
        ethnicity as ethnicity_code,
        birth_sex,
        ((deceased_boolean = true) or (deceased_date_time is not null)) as is_deceased,
        (active = false) as is_inactive,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from source
),

judged as (
    select
        *,
        {{ fhir_precision('birth_text') }} as birth_precision,
        {{ fhir_precision('deceased_text') }} as deceased_precision
    from renamed
),

cleansed as (
    select
        patient_id,
        last_updated_at,
        version_id,
        ssn_token,
        medical_record_number_token,
        family_name_token,
        given_name_token,
        name_token,
        identifier_token,
        email_token,
        phone_token,
        street_token,
        city,
        state,
        postal_code,
        country,
        gender,
        birth_text,
        {{ fhir_at('birth_text', 'birth_precision') }} as birth_at,
        {{ fhir_date('birth_text', 'birth_precision') }} as birth_date,
        birth_precision,
        deceased_text,
        {{ fhir_at('deceased_text', 'deceased_precision') }} as deceased_at,
        {{ fhir_date('deceased_text', 'deceased_precision') }} as deceased_date,
        deceased_precision,
        marital_status_code,
        marital_status_system,
        marital_status_display,
        race_code,
        ethnicity_code,
        birth_sex,
        is_deceased,
        is_inactive,
        is_deleted,
        valid_at,
        source_revision,
        observed_at,
        load_id
    from judged
)

select * from cleansed
