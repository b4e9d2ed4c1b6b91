{# Made from views/encounters.json by `make fhir-view`: change that. #}
{% set class_paths = [['code'], ['system'], ['display']] %}
{% set type_paths = [[0, 'coding', 0, 'code'], [0, 'coding', 0, 'system'], [0, 'coding', 0, 'display']] %}
{% set service_type_paths = [['coding', 0, 'code'], ['coding', 0, 'system'], ['coding', 0, 'display']] %}
{% set reason_code_paths = [[0, 'coding', 0, 'code'], [0, 'coding', 0, 'system'], [0, 'coding', 0,
    'display']] %}
{% set hospitalization_paths = [['admitSource', 'coding', 0, 'code'], ['admitSource', 'coding', 0, 'system'],
    ['admitSource', 'coding', 0, 'display'], ['dischargeDisposition', 'coding', 0, 'code'], ['dischargeDisposition',
    'coding', 0, 'system'], ['dischargeDisposition', 'coding', 0, 'display'], ['reAdmission', 'coding', 0, 'code'],
    ['reAdmission', 'coding', 0, 'system'], ['reAdmission', 'coding', 0, 'display']] %}
with source as (
    select * from {{ source('fhir', 'encounters') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        id as encounter_id,
        last_updated as last_updated_at,
        version_id,
        patient_id,
        {{ folded('status') }} as status,
        {{ json_places_text('class', class_paths, 1) }} as class_code,
        {{ json_places_text('class', class_paths, 2) }} as class_system,
        {{ json_places_text('class', class_paths, 3) }} as class_display,
        {{ json_places_text('type', type_paths, 1) }} as type_code,
        {{ json_places_text('type', type_paths, 2) }} as type_system,
        {{ json_places_text('type', type_paths, 3) }} as type_display,
        {{ json_places_text('service_type', service_type_paths, 1) }} as service_type_code,
        {{ json_places_text('service_type', service_type_paths, 2) }} as service_type_system,
        {{ json_places_text('service_type', service_type_paths, 3) }} as service_type_display,
        {{ json_place_text('period', ['start']) }} as started_text,
        {{ json_place_text('period', ['end']) }} as ended_text,
        {{ json_places_text('reason_code', reason_code_paths, 1) }} as reason_code,
        {{ json_places_text('reason_code', reason_code_paths, 2) }} as reason_system,
        {{ json_places_text('reason_code', reason_code_paths, 3) }} as reason_display,
        {{ json_places_text('hospitalization', hospitalization_paths, 1) }} as admit_source_code,
        {{ json_places_text('hospitalization', hospitalization_paths, 2) }} as admit_source_system,
        {{ json_places_text('hospitalization', hospitalization_paths, 3) }} as admit_source_display,
        {{ json_places_text('hospitalization', hospitalization_paths, 4) }} as discharge_disposition_code,
        {{ json_places_text('hospitalization', hospitalization_paths, 5) }} as discharge_disposition_system,
        {{ json_places_text('hospitalization', hospitalization_paths, 6) }} as discharge_disposition_display,
        {{ json_places_text('hospitalization', hospitalization_paths, 7) }} as readmission_code,
        {{ json_places_text('hospitalization', hospitalization_paths, 8) }} as readmission_system,
        {{ json_places_text('hospitalization', hospitalization_paths, 9) }} as readmission_display,
        {{ fhir_reference_key(json_place_text('service_provider', ['reference']),
            'Organization') }} as service_provider_id,
        {{ json_place_text('service_provider', ['reference']) }} as service_provider_reference,
        {{ fhir_reference_key(json_place_text('part_of', ['reference']), 'Encounter') }} as part_of_id,
        {{ json_place_text('part_of', ['reference']) }} as part_of_reference,
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
        {{ fhir_precision('started_text') }} as started_precision,
        {{ fhir_precision('ended_text') }} as ended_precision
    from renamed
),

cleansed as (
    select
        encounter_id,
        last_updated_at,
        version_id,
        patient_id,
        status,
        class_code,
        class_system,
        class_display,
        type_code,
        type_system,
        type_display,
        service_type_code,
        service_type_system,
        service_type_display,
        started_text,
        {{ fhir_at('started_text', 'started_precision') }} as started_at,
        {{ fhir_date('started_text', 'started_precision') }} as started_date,
        started_precision,
        ended_text,
        {{ fhir_at('ended_text', 'ended_precision') }} as ended_at,
        {{ fhir_date('ended_text', 'ended_precision') }} as ended_date,
        ended_precision,
        reason_code,
        reason_system,
        reason_display,
        admit_source_code,
        admit_source_system,
        admit_source_display,
        discharge_disposition_code,
        discharge_disposition_system,
        discharge_disposition_display,
        readmission_code,
        readmission_system,
        readmission_display,
        service_provider_id,
        service_provider_reference,
        part_of_id,
        part_of_reference,
        is_deleted,
        valid_at,
        source_revision,
        observed_at,
        load_id
    from judged
)

select * from cleansed
