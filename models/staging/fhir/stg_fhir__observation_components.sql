{# Made from views/observation_components.json by `make fhir-view`: change that. #}
{% set each_2_paths = [['code'], ['system'], ['display']] %}
{% set each_1_paths = [['valueQuantity', 'value'], ['valueQuantity', 'comparator'], ['valueQuantity', 'unit'],
    ['valueQuantity', 'system'], ['valueQuantity', 'code'], ['valueCodeableConcept', 'coding', 0, 'code'],
    ['valueCodeableConcept', 'coding', 0, 'system'], ['valueCodeableConcept', 'coding', 0, 'display'],
    ['valueString'], ['valueBoolean'], ['valueInteger'], ['valueRange', 'low', 'value'], ['valueRange', 'high',
    'value'], ['valueRange', 'low', 'code'], ['valueRatio', 'numerator', 'value'], ['valueRatio', 'denominator',
    'value'], ['valueTime'], ['valueDateTime'], ['valuePeriod', 'start'], ['valuePeriod', 'end'],
    ['dataAbsentReason', 'coding', 0, 'code'], ['dataAbsentReason', 'coding', 0, 'system'], ['dataAbsentReason',
    'coding', 0, 'display'], ['interpretation', 0, 'coding', 0, 'code'], ['interpretation', 0, 'coding', 0,
    'system'], ['interpretation', 0, 'coding', 0, 'display'], ['referenceRange', 0, 'low', 'value'],
    ['referenceRange', 0, 'high', 'value']] %}
with source as (
    select * from {{ source('fhir', 'observations') }}
    where {{ from_completed_load() }}
),

each_1 as (
    select source.*, each_1_rows.each_1, each_1_rows.each_1_position
    from source
    cross join lateral {{ json_rows(json_place_list('source.component', []), 'each_1') }}
),

each_2 as (
    select *, coalesce({{ json_only(json_where(json_value_list('each_1', ['code', 'coding']), 'item_1', '(' ~
        json_value_text('item_1', ['system']) ~ " = 'http://loinc.org')")) }}, {{
        json_only(json_value_list('each_1', ['code', 'coding'])) }}) as each_2
    from each_1
),

renamed as (
    select
        id as observation_id,
        patient_id,
        cast((each_1_position - 1) as bigint) as component_index,
        {{ json_values_text('each_2', each_2_paths, 1) }} as component_code,
        {{ json_values_text('each_2', each_2_paths, 2) }} as component_system,
        {{ json_values_text('each_2', each_2_paths, 3) }} as component_display,
        {{ json_values_text('each_1', each_1_paths, 1) }} as value_quantity_text,
        {{ json_values_text('each_1', each_1_paths, 2) }} as value_comparator,
        {{ json_values_text('each_1', each_1_paths, 3) }} as value_unit,
        {{ json_values_text('each_1', each_1_paths, 4) }} as value_unit_system,
        {{ json_values_text('each_1', each_1_paths, 5) }} as value_unit_code,
        {{ json_values_text('each_1', each_1_paths, 6) }} as value_code,
        {{ json_values_text('each_1', each_1_paths, 7) }} as value_system,
        {{ json_values_text('each_1', each_1_paths, 8) }} as value_display,
        {{ json_values_text('each_1', each_1_paths, 9) }} as value_string,
        ({{ json_values_text('each_1', each_1_paths, 10) }} = 'true') as value_boolean,
        {{ fhir_integer(json_values_text('each_1', each_1_paths, 11)) }} as value_integer,
        {{ json_values_text('each_1', each_1_paths, 12) }} as value_range_low_text,
        {{ json_values_text('each_1', each_1_paths, 13) }} as value_range_high_text,
        {{ json_values_text('each_1', each_1_paths, 14) }} as value_range_unit_code,
        {{ json_values_text('each_1', each_1_paths, 15) }} as value_numerator_text,
        {{ json_values_text('each_1', each_1_paths, 16) }} as value_denominator_text,
        {{ json_values_text('each_1', each_1_paths, 17) }} as value_time,
        {{ json_values_text('each_1', each_1_paths, 18) }} as value_moment_text,
        {{ json_values_text('each_1', each_1_paths, 19) }} as value_period_started_text,
        {{ json_values_text('each_1', each_1_paths, 20) }} as value_period_ended_text,
        {{ json_values_text('each_1', each_1_paths, 21) }} as absent_reason_code,
        {{ json_values_text('each_1', each_1_paths, 22) }} as absent_reason_system,
        {{ json_values_text('each_1', each_1_paths, 23) }} as absent_reason_display,
        {{ json_values_text('each_1', each_1_paths, 24) }} as interpretation_code,
        {{ json_values_text('each_1', each_1_paths, 25) }} as interpretation_system,
        {{ json_values_text('each_1', each_1_paths, 26) }} as interpretation_display,
        {{ json_values_text('each_1', each_1_paths, 27) }} as reference_low_text,
        {{ json_values_text('each_1', each_1_paths, 28) }} as reference_high_text,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from each_2
),

judged as (
    select
        *,
        {{ fhir_precision('value_moment_text') }} as value_moment_precision,
        {{ fhir_precision('value_period_started_text') }} as value_period_started_precision,
        {{ fhir_precision('value_period_ended_text') }} as value_period_ended_precision
    from renamed
),

cleansed as (
    select
        observation_id,
        patient_id,
        component_index,
        component_code,
        component_system,
        component_display,
        {{ fhir_number_text('value_quantity_text') }} as value_quantity_text,
        {{ fhir_decimal('value_quantity_text') }} as value_quantity,
        value_comparator,
        value_unit,
        value_unit_system,
        value_unit_code,
        value_code,
        value_system,
        value_display,
        value_string,
        value_boolean,
        value_integer,
        {{ fhir_number_text('value_range_low_text') }} as value_range_low_text,
        {{ fhir_decimal('value_range_low_text') }} as value_range_low,
        {{ fhir_number_text('value_range_high_text') }} as value_range_high_text,
        {{ fhir_decimal('value_range_high_text') }} as value_range_high,
        value_range_unit_code,
        {{ fhir_number_text('value_numerator_text') }} as value_numerator_text,
        {{ fhir_decimal('value_numerator_text') }} as value_numerator,
        {{ fhir_number_text('value_denominator_text') }} as value_denominator_text,
        {{ fhir_decimal('value_denominator_text') }} as value_denominator,
        value_time,
        value_moment_text,
        {{ fhir_at('value_moment_text', 'value_moment_precision') }} as value_moment_at,
        {{ fhir_date('value_moment_text', 'value_moment_precision') }} as value_moment_date,
        value_moment_precision,
        value_period_started_text,
        {{ fhir_at('value_period_started_text', 'value_period_started_precision') }} as value_period_started_at,
        {{ fhir_date('value_period_started_text',
            'value_period_started_precision') }} as value_period_started_date,
        value_period_started_precision,
        value_period_ended_text,
        {{ fhir_at('value_period_ended_text', 'value_period_ended_precision') }} as value_period_ended_at,
        {{ fhir_date('value_period_ended_text', 'value_period_ended_precision') }} as value_period_ended_date,
        value_period_ended_precision,
        absent_reason_code,
        absent_reason_system,
        absent_reason_display,
        interpretation_code,
        interpretation_system,
        interpretation_display,
        {{ fhir_number_text('reference_low_text') }} as reference_low_text,
        {{ fhir_decimal('reference_low_text') }} as reference_low,
        {{ fhir_number_text('reference_high_text') }} as reference_high_text,
        {{ fhir_decimal('reference_high_text') }} as reference_high,
        is_deleted,
        valid_at,
        source_revision,
        observed_at,
        load_id
    from judged
)

select * from cleansed
