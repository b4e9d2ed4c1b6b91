{# Made from views/conditions.json by `make fhir-view`: change that. #}
{% set each_1_paths = [['code'], ['system'], ['display']] %}
{% set category_paths = [[0, 'coding', 0, 'code'], [0, 'coding', 0, 'system'], [0, 'coding', 0, 'display']] %}
{% set severity_paths = [['coding', 0, 'code'], ['coding', 0, 'system'], ['coding', 0, 'display']] %}
{% set abatement_period_paths = [['start'], ['end'], []] %}
with source as (
    select * from {{ source('fhir', 'conditions') }}
    where {{ from_completed_load() }}
),

each_1 as (
    select *, coalesce({{ json_only(json_where(json_place_list('code', ['coding']), 'item_1', '(' ~
        json_value_text('item_1', ['system']) ~ " = 'http://snomed.info/sct')")) }}, {{
        json_only(json_place_list('code', ['coding'])) }}) as each_1
    from source
),

renamed as (
    select
        id as condition_id,
        last_updated as last_updated_at,
        version_id,
        patient_id,
        {{ fhir_reference_key(json_place_text('encounter', ['reference']), 'Encounter') }} as encounter_id,
        {{ json_values_text('each_1', each_1_paths, 1) }} as condition_code,
        {{ json_values_text('each_1', each_1_paths, 2) }} as condition_system,
        {{ json_values_text('each_1', each_1_paths, 3) }} as condition_display,
        {{ json_place_text('clinical_status', ['coding', 0, 'code']) }} as clinical_status,
        {{ json_place_text('verification_status', ['coding', 0, 'code']) }} as verification_status,
        {{ json_places_text('category', category_paths, 1) }} as category_code,
        {{ json_places_text('category', category_paths, 2) }} as category_system,
        {{ json_places_text('category', category_paths, 3) }} as category_display,
        {{ json_places_text('severity', severity_paths, 1) }} as severity_code,
        {{ json_places_text('severity', severity_paths, 2) }} as severity_system,
        {{ json_places_text('severity', severity_paths, 3) }} as severity_display,
        onset_date_time as onset_text,
        {{ json_place_text('onset_period', ['start']) }} as onset_started_text,
        {{ json_place_text('onset_period', ['end']) }} as onset_ended_text,
        abatement_date_time as abatement_text,
        {{ json_places_text('abatement_period', abatement_period_paths, 1) }} as abatement_started_text,
        {{ json_places_text('abatement_period', abatement_period_paths, 2) }} as abatement_ended_text,
        recorded_date as recorded_text,
        {{ fhir_reference_key(json_place_text('recorder', ['reference']), 'Practitioner') }} as recorder_id,
        {{ json_place_text('recorder', ['reference']) }} as recorder_reference,
        ((((abatement_date_time is not null) or ({{ json_places_text('abatement_period', abatement_period_paths,
            3) }} is not null)) or (abatement_string is not null)) or ({{ json_place_text('abatement_age',
            []) }} is not null)) as has_abatement,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from each_1
),

judged as (
    select
        *,
        {{ fhir_precision('onset_text') }} as onset_precision,
        {{ fhir_precision('onset_started_text') }} as onset_started_precision,
        {{ fhir_precision('onset_ended_text') }} as onset_ended_precision,
        {{ fhir_precision('abatement_text') }} as abatement_precision,
        {{ fhir_precision('abatement_started_text') }} as abatement_started_precision,
        {{ fhir_precision('abatement_ended_text') }} as abatement_ended_precision,
        {{ fhir_precision('recorded_text') }} as recorded_precision
    from renamed
),

cleansed as (
    select
        condition_id,
        last_updated_at,
        version_id,
        patient_id,
        encounter_id,
        condition_code,
        condition_system,
        condition_display,
        clinical_status,
        verification_status,
        category_code,
        category_system,
        category_display,
        severity_code,
        severity_system,
        severity_display,
        onset_text,
        {{ fhir_at('onset_text', 'onset_precision') }} as onset_at,
        {{ fhir_date('onset_text', 'onset_precision') }} as onset_date,
        onset_precision,
        onset_started_text,
        {{ fhir_at('onset_started_text', 'onset_started_precision') }} as onset_started_at,
        {{ fhir_date('onset_started_text', 'onset_started_precision') }} as onset_started_date,
        onset_started_precision,
        onset_ended_text,
        {{ fhir_at('onset_ended_text', 'onset_ended_precision') }} as onset_ended_at,
        {{ fhir_date('onset_ended_text', 'onset_ended_precision') }} as onset_ended_date,
        onset_ended_precision,
        abatement_text,
        {{ fhir_at('abatement_text', 'abatement_precision') }} as abatement_at,
        {{ fhir_date('abatement_text', 'abatement_precision') }} as abatement_date,
        abatement_precision,
        abatement_started_text,
        {{ fhir_at('abatement_started_text', 'abatement_started_precision') }} as abatement_started_at,
        {{ fhir_date('abatement_started_text', 'abatement_started_precision') }} as abatement_started_date,
        abatement_started_precision,
        abatement_ended_text,
        {{ fhir_at('abatement_ended_text', 'abatement_ended_precision') }} as abatement_ended_at,
        {{ fhir_date('abatement_ended_text', 'abatement_ended_precision') }} as abatement_ended_date,
        abatement_ended_precision,
        recorded_text,
        {{ fhir_at('recorded_text', 'recorded_precision') }} as recorded_at,
        {{ fhir_date('recorded_text', 'recorded_precision') }} as recorded_date,
        recorded_precision,
        recorder_id,
        recorder_reference,
        has_abatement,
        is_deleted,
        valid_at,
        source_revision,
        observed_at,
        load_id
    from judged
)

select * from cleansed
