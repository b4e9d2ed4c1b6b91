{# Made from views/document_references.json by `make fhir-view`: change that. #}
{% set context_paths = [['encounter', 0, 'reference'], ['period', 'start'], ['period', 'end'], ['facilityType',
    'coding', 0, 'code'], ['facilityType', 'coding', 0, 'system'], ['facilityType', 'coding', 0, 'display'],
    ['practiceSetting', 'coding', 0, 'code'], ['practiceSetting', 'coding', 0, 'system'], ['practiceSetting',
    'coding', 0, 'display']] %}
{% set type_paths = [['coding', 0, 'code'], ['coding', 0, 'system'], ['coding', 0, 'display']] %}
{% set category_paths = [[0, 'coding', 0, 'code'], [0, 'coding', 0, 'system'], [0, 'coding', 0, 'display']] %}
{% set content_paths = [[0, 'attachment', 'contentType'], [0, 'attachment', 'size'], [0, 'attachment',
    'creation'], [0, 'format', 'code'], [0, 'format', 'system'], [0, 'format', 'display']] %}
with source as (
    select * from {{ source('fhir', 'document_references') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        id as document_reference_id,
        last_updated as last_updated_at,
        version_id,
        patient_id,
        {{ fhir_reference_key(json_places_text('context', context_paths, 1), 'Encounter') }} as encounter_id,
        {{ folded('status') }} as status,
        {{ folded('doc_status') }} as document_status,
        {{ json_places_text('type', type_paths, 1) }} as type_code,
        {{ json_places_text('type', type_paths, 2) }} as type_system,
        {{ json_places_text('type', type_paths, 3) }} as type_display,
        {{ json_places_text('category', category_paths, 1) }} as category_code,
        {{ json_places_text('category', category_paths, 2) }} as category_system,
        {{ json_places_text('category', category_paths, 3) }} as category_display,
        date as written_text,
        {{ fhir_reference_key(json_place_text('custodian', ['reference']), 'Organization') }} as custodian_id,
        {{ json_place_text('custodian', ['reference']) }} as custodian_reference,
        {{ json_places_text('context', context_paths, 2) }} as service_started_text,
        {{ json_places_text('context', context_paths, 3) }} as service_ended_text,
        {{ json_places_text('context', context_paths, 4) }} as facility_type_code,
        {{ json_places_text('context', context_paths, 5) }} as facility_type_system,
        {{ json_places_text('context', context_paths, 6) }} as facility_type_display,
        {{ json_places_text('context', context_paths, 7) }} as practice_setting_code,
        {{ json_places_text('context', context_paths, 8) }} as practice_setting_system,
        {{ json_places_text('context', context_paths, 9) }} as practice_setting_display,
        {{ json_places_text('content', content_paths, 1) }} as content_type,
        {{ fhir_integer(json_places_text('content', content_paths, 2)) }} as content_size,
        {{ json_places_text('content', content_paths, 3) }} as content_created_text,
        {{ json_places_text('content', content_paths, 4) }} as format_code,
        {{ json_places_text('content', content_paths, 5) }} as format_system,
        {{ json_places_text('content', content_paths, 6) }} as format_display,
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
        {{ fhir_precision('written_text') }} as written_precision,
        {{ fhir_precision('service_started_text') }} as service_started_precision,
        {{ fhir_precision('service_ended_text') }} as service_ended_precision,
        {{ fhir_precision('content_created_text') }} as content_created_precision
    from renamed
),

cleansed as (
    select
        document_reference_id,
        last_updated_at,
        version_id,
        patient_id,
        encounter_id,
        status,
        document_status,
        type_code,
        type_system,
        type_display,
        category_code,
        category_system,
        category_display,
        written_text,
        {{ fhir_at('written_text', 'written_precision') }} as written_at,
        {{ fhir_date('written_text', 'written_precision') }} as written_date,
        written_precision,
        custodian_id,
        custodian_reference,
        service_started_text,
        {{ fhir_at('service_started_text', 'service_started_precision') }} as service_started_at,
        {{ fhir_date('service_started_text', 'service_started_precision') }} as service_started_date,
        service_started_precision,
        service_ended_text,
        {{ fhir_at('service_ended_text', 'service_ended_precision') }} as service_ended_at,
        {{ fhir_date('service_ended_text', 'service_ended_precision') }} as service_ended_date,
        service_ended_precision,
        facility_type_code,
        facility_type_system,
        facility_type_display,
        practice_setting_code,
        practice_setting_system,
        practice_setting_display,
        content_type,
        content_size,
        content_created_text,
        {{ fhir_at('content_created_text', 'content_created_precision') }} as content_created_at,
        {{ fhir_date('content_created_text', 'content_created_precision') }} as content_created_date,
        content_created_precision,
        format_code,
        format_system,
        format_display,
        is_deleted,
        valid_at,
        source_revision,
        observed_at,
        load_id
    from judged
)

select * from cleansed
