{# Made from views/immunizations.json by `make fhir-view`: change that. #}
{% set each_1_paths = [['code'], ['system'], ['display']] %}
{% set protocol_applied_paths = [[0, 'doseNumberPositiveInt'], [0, 'seriesDosesPositiveInt'], [0,
    'targetDisease', 0, 'coding', 0, 'code'], [0, 'targetDisease', 0, 'coding', 0, 'system'], [0, 'targetDisease',
    0, 'coding', 0, 'display']] %}
with source as (
    select * from {{ source('fhir', 'immunizations') }}
    where {{ from_completed_load() }}
),

each_1 as (
    select *, coalesce({{ json_only(json_where(json_place_list('vaccine_code', ['coding']), 'item_1', '(' ~
        json_value_text('item_1', ['system']) ~ " = 'http://hl7.org/fhir/sid/cvx')")) }}, {{
        json_only(json_place_list('vaccine_code', ['coding'])) }}) as each_1
    from source
),

renamed as (
    select
        id as immunization_id,
        last_updated as last_updated_at,
        version_id,
        patient_id,
        {{ fhir_reference_key(json_place_text('encounter', ['reference']), 'Encounter') }} as encounter_id,
        {{ folded('status') }} as status,
        {{ json_values_text('each_1', each_1_paths, 1) }} as vaccine_code,
        {{ json_values_text('each_1', each_1_paths, 2) }} as vaccine_system,
        {{ json_values_text('each_1', each_1_paths, 3) }} as vaccine_display,
        occurrence_date_time as occurred_text,
        {{ fhir_reference_key(json_place_text('location', ['reference']), 'Location') }} as location_id,
        {{ json_place_text('location', ['reference']) }} as location_reference,
        lot_number,
        {{ fhir_integer(json_places_text('protocol_applied', protocol_applied_paths, 1)) }} as dose_number,
        {{ fhir_integer(json_places_text('protocol_applied', protocol_applied_paths, 2)) }} as series_dose_count,
        {{ json_places_text('protocol_applied', protocol_applied_paths, 3) }} as target_disease_code,
        {{ json_places_text('protocol_applied', protocol_applied_paths, 4) }} as target_disease_system,
        {{ json_places_text('protocol_applied', protocol_applied_paths, 5) }} as target_disease_display,
        primary_source as is_primary_source,
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
        {{ fhir_precision('occurred_text') }} as occurred_precision
    from renamed
),

cleansed as (
    select
        immunization_id,
        last_updated_at,
        version_id,
        patient_id,
        encounter_id,
        status,
        vaccine_code,
        vaccine_system,
        vaccine_display,
        occurred_text,
        {{ fhir_at('occurred_text', 'occurred_precision') }} as occurred_at,
        {{ fhir_date('occurred_text', 'occurred_precision') }} as occurred_date,
        occurred_precision,
        location_id,
        location_reference,
        lot_number,
        dose_number,
        series_dose_count,
        target_disease_code,
        target_disease_system,
        target_disease_display,
        is_primary_source,
        is_deleted,
        valid_at,
        source_revision,
        observed_at,
        load_id
    from judged
)

select * from cleansed
