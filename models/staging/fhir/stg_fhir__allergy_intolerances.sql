{# Made from views/allergy_intolerances.json by `make fhir-view`: change that. #}
{% set each_1_paths = [['code'], ['system'], ['display']] %}
with source as (
    select * from {{ source('fhir', 'allergy_intolerances') }}
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
        id as allergy_intolerance_id,
        last_updated as last_updated_at,
        version_id,
        patient_id,
        {{ fhir_reference_key(json_place_text('encounter', ['reference']), 'Encounter') }} as encounter_id,
        {{ json_place_text('clinical_status', ['coding', 0, 'code']) }} as clinical_status,
        {{ json_place_text('verification_status', ['coding', 0, 'code']) }} as verification_status,
        {{ folded('type') }} as allergy_type,
        {{ json_joined(json_place_items('category', []), "','") }} as categories,
        {{ folded('criticality') }} as criticality,
        {{ json_values_text('each_1', each_1_paths, 1) }} as allergy_code,
        {{ json_values_text('each_1', each_1_paths, 2) }} as allergy_system,
        {{ json_values_text('each_1', each_1_paths, 3) }} as allergy_display,
        onset_date_time as onset_text,
        recorded_date as recorded_text,
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
        {{ fhir_precision('recorded_text') }} as recorded_precision
    from renamed
),

cleansed as (
    select
        allergy_intolerance_id,
        last_updated_at,
        version_id,
        patient_id,
        encounter_id,
        clinical_status,
        verification_status,
        allergy_type,
        categories,
        criticality,
        allergy_code,
        allergy_system,
        allergy_display,
        onset_text,
        {{ fhir_at('onset_text', 'onset_precision') }} as onset_at,
        {{ fhir_date('onset_text', 'onset_precision') }} as onset_date,
        onset_precision,
        recorded_text,
        {{ fhir_at('recorded_text', 'recorded_precision') }} as recorded_at,
        {{ fhir_date('recorded_text', 'recorded_precision') }} as recorded_date,
        recorded_precision,
        is_deleted,
        valid_at,
        source_revision,
        observed_at,
        load_id
    from judged
)

select * from cleansed
