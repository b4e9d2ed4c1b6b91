{# Made from views/devices.json by `make fhir-view`: change that. #}
{% set type_paths = [['coding', 0, 'code'], ['coding', 0, 'system'], ['coding', 0, 'display']] %}
with source as (
    select * from {{ source('fhir', 'devices') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        id as device_id,
        last_updated as last_updated_at,
        version_id,
        patient_id,
        device_identifier as device_identifier_token,
        serial_number as serial_number_token,
        {{ folded('status') }} as status,
        manufacturer,
        {{ json_place_text('device_name', [0, 'name']) }} as device_name,
        model_number,
        {{ json_places_text('type', type_paths, 1) }} as type_code,
        {{ json_places_text('type', type_paths, 2) }} as type_system,
        {{ json_places_text('type', type_paths, 3) }} as type_display,
        manufacture_date as manufactured_text,
        expiration_date as expires_text,
        {{ fhir_reference_key(json_place_text('owner', ['reference']), 'Organization') }} as owner_id,
        {{ json_place_text('owner', ['reference']) }} as owner_reference,
        {{ fhir_reference_key(json_place_text('location', ['reference']), 'Location') }} as location_id,
        {{ json_place_text('location', ['reference']) }} as location_reference,
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
        {{ fhir_precision('manufactured_text') }} as manufactured_precision,
        {{ fhir_precision('expires_text') }} as expires_precision
    from renamed
),

cleansed as (
    select
        device_id,
        last_updated_at,
        version_id,
        patient_id,
        device_identifier_token,
        serial_number_token,
        status,
        manufacturer,
        device_name,
        model_number,
        type_code,
        type_system,
        type_display,
        manufactured_text,
        {{ fhir_at('manufactured_text', 'manufactured_precision') }} as manufactured_at,
        {{ fhir_date('manufactured_text', 'manufactured_precision') }} as manufactured_date,
        manufactured_precision,
        expires_text,
        {{ fhir_at('expires_text', 'expires_precision') }} as expires_at,
        {{ fhir_date('expires_text', 'expires_precision') }} as expires_date,
        expires_precision,
        owner_id,
        owner_reference,
        location_id,
        location_reference,
        is_deleted,
        valid_at,
        source_revision,
        observed_at,
        load_id
    from judged
)

select * from cleansed
