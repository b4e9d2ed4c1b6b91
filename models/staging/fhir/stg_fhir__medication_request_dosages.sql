{# Made from views/medication_request_dosages.json by `make fhir-view`: change that. #}
{% set each_1_paths = [['sequence'], ['route', 'coding', 0, 'code'], ['route', 'coding', 0, 'system'], ['route',
    'coding', 0, 'display'], ['timing', 'repeat', 'frequency'], ['timing', 'repeat', 'period'], ['timing', 'repeat',
    'periodUnit'], ['timing', 'code', 'coding', 0, 'code'], ['timing', 'code', 'coding', 0, 'system'], ['timing',
    'code', 'coding', 0, 'display'], ['doseAndRate', 0, 'doseQuantity', 'value'], ['doseAndRate', 0, 'doseQuantity',
    'unit'], ['doseAndRate', 0, 'doseQuantity', 'system'], ['doseAndRate', 0, 'doseQuantity', 'code'],
    ['asNeededBoolean']] %}
with source as (
    select * from {{ source('fhir', 'medication_requests') }}
    where {{ from_completed_load() }}
),

each_1 as (
    select source.*, each_1_rows.each_1, each_1_rows.each_1_position
    from source
    cross join lateral {{ json_rows(json_place_list('source.dosage_instruction', []), 'each_1') }}
),

renamed as (
    select
        id as medication_request_id,
        patient_id,
        cast((each_1_position - 1) as bigint) as dosage_index,
        {{ fhir_integer(json_values_text('each_1', each_1_paths, 1)) }} as sequence,
        {{ json_values_text('each_1', each_1_paths, 2) }} as route_code,
        {{ json_values_text('each_1', each_1_paths, 3) }} as route_system,
        {{ json_values_text('each_1', each_1_paths, 4) }} as route_display,
        {{ fhir_integer(json_values_text('each_1', each_1_paths, 5)) }} as frequency,
        {{ json_values_text('each_1', each_1_paths, 6) }} as frequency_period_text,
        {{ json_values_text('each_1', each_1_paths, 7) }} as frequency_period_unit,
        {{ json_values_text('each_1', each_1_paths, 8) }} as timing_code,
        {{ json_values_text('each_1', each_1_paths, 9) }} as timing_system,
        {{ json_values_text('each_1', each_1_paths, 10) }} as timing_display,
        {{ json_values_text('each_1', each_1_paths, 11) }} as dose_text,
        {{ json_values_text('each_1', each_1_paths, 12) }} as dose_unit,
        {{ json_values_text('each_1', each_1_paths, 13) }} as dose_unit_system,
        {{ json_values_text('each_1', each_1_paths, 14) }} as dose_unit_code,
        ({{ json_values_text('each_1', each_1_paths, 15) }} = 'true') as is_as_needed,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from each_1
),

cleansed as (
    select
        medication_request_id,
        patient_id,
        dosage_index,
        sequence,
        route_code,
        route_system,
        route_display,
        frequency,
        {{ fhir_number_text('frequency_period_text') }} as frequency_period_text,
        {{ fhir_decimal('frequency_period_text') }} as frequency_period,
        frequency_period_unit,
        timing_code,
        timing_system,
        timing_display,
        {{ fhir_number_text('dose_text') }} as dose_text,
        {{ fhir_decimal('dose_text') }} as dose,
        dose_unit,
        dose_unit_system,
        dose_unit_code,
        is_as_needed,
        is_deleted,
        valid_at,
        source_revision,
        observed_at,
        load_id
    from renamed
)

select * from cleansed
