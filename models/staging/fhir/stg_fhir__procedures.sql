{# Made from views/procedures.json by `make fhir-view`: change that. #}
{% set each_1_paths = [['code'], ['system'], ['display']] %}
{% set category_paths = [['coding', 0, 'code'], ['coding', 0, 'system'], ['coding', 0, 'display']] %}
{% set outcome_paths = [['coding', 0, 'code'], ['coding', 0, 'system'], ['coding', 0, 'display']] %}
with source as (
    select * from {{ source('fhir', 'procedures') }}
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
        id as procedure_id,
        last_updated as last_updated_at,
        version_id,
        patient_id,
        {{ fhir_reference_key(json_place_text('encounter', ['reference']), 'Encounter') }} as encounter_id,
        {{ folded('status') }} as status,
        {{ json_values_text('each_1', each_1_paths, 1) }} as procedure_code,
        {{ json_values_text('each_1', each_1_paths, 2) }} as procedure_system,
        {{ json_values_text('each_1', each_1_paths, 3) }} as procedure_display,
        {{ json_places_text('category', category_paths, 1) }} as category_code,
        {{ json_places_text('category', category_paths, 2) }} as category_system,
        {{ json_places_text('category', category_paths, 3) }} as category_display,
        performed_date_time as performed_text,
        {{ json_place_text('performed_period', ['start']) }} as performed_started_text,
        {{ json_place_text('performed_period', ['end']) }} as performed_ended_text,
        {{ fhir_reference_key(json_place_text('location', ['reference']), 'Location') }} as location_id,
        {{ json_place_text('location', ['reference']) }} as location_reference,
        {{ fhir_reference_key(json_place_text('reason_reference', [0, 'reference']),
            'Condition') }} as reason_id,
        {{ json_place_text('reason_reference', [0, 'reference']) }} as reason_reference,
        {{ json_places_text('outcome', outcome_paths, 1) }} as outcome_code,
        {{ json_places_text('outcome', outcome_paths, 2) }} as outcome_system,
        {{ json_places_text('outcome', outcome_paths, 3) }} as outcome_display,
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
        {{ fhir_precision('performed_text') }} as performed_precision,
        {{ fhir_precision('performed_started_text') }} as performed_started_precision,
        {{ fhir_precision('performed_ended_text') }} as performed_ended_precision
    from renamed
),

cleansed as (
    select
        procedure_id,
        last_updated_at,
        version_id,
        patient_id,
        encounter_id,
        status,
        procedure_code,
        procedure_system,
        procedure_display,
        category_code,
        category_system,
        category_display,
        performed_text,
        {{ fhir_at('performed_text', 'performed_precision') }} as performed_at,
        {{ fhir_date('performed_text', 'performed_precision') }} as performed_date,
        performed_precision,
        performed_started_text,
        {{ fhir_at('performed_started_text', 'performed_started_precision') }} as performed_started_at,
        {{ fhir_date('performed_started_text', 'performed_started_precision') }} as performed_started_date,
        performed_started_precision,
        performed_ended_text,
        {{ fhir_at('performed_ended_text', 'performed_ended_precision') }} as performed_ended_at,
        {{ fhir_date('performed_ended_text', 'performed_ended_precision') }} as performed_ended_date,
        performed_ended_precision,
        location_id,
        location_reference,
        reason_id,
        reason_reference,
        outcome_code,
        outcome_system,
        outcome_display,
        is_deleted,
        valid_at,
        source_revision,
        observed_at,
        load_id
    from judged
)

select * from cleansed
