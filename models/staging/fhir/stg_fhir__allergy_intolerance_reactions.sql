{# Made from views/allergy_intolerance_reactions.json by `make fhir-view`: change that. #}
{% set each_1_paths = [['substance', 'coding', 0, 'code'], ['substance', 'coding', 0, 'system'], ['substance',
    'coding', 0, 'display'], ['manifestation', 0, 'coding', 0, 'code'], ['manifestation', 0, 'coding', 0, 'system'],
    ['manifestation', 0, 'coding', 0, 'display'], ['onset'], ['severity']] %}
with source as (
    select * from {{ source('fhir', 'allergy_intolerances') }}
    where {{ from_completed_load() }}
),

each_1 as (
    select source.*, each_1_rows.each_1, each_1_rows.each_1_position
    from source
    cross join lateral {{ json_rows(json_place_list('source.reaction', []), 'each_1') }}
),

renamed as (
    select
        id as allergy_intolerance_id,
        patient_id,
        cast((each_1_position - 1) as bigint) as reaction_index,
        {{ json_values_text('each_1', each_1_paths, 1) }} as substance_code,
        {{ json_values_text('each_1', each_1_paths, 2) }} as substance_system,
        {{ json_values_text('each_1', each_1_paths, 3) }} as substance_display,
        {{ json_values_text('each_1', each_1_paths, 4) }} as manifestation_code,
        {{ json_values_text('each_1', each_1_paths, 5) }} as manifestation_system,
        {{ json_values_text('each_1', each_1_paths, 6) }} as manifestation_display,
        {{ json_values_text('each_1', each_1_paths, 7) }} as onset_text,
        {{ json_values_text('each_1', each_1_paths, 8) }} as severity,
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
        {{ fhir_precision('onset_text') }} as onset_precision
    from renamed
),

cleansed as (
    select
        allergy_intolerance_id,
        patient_id,
        reaction_index,
        substance_code,
        substance_system,
        substance_display,
        manifestation_code,
        manifestation_system,
        manifestation_display,
        onset_text,
        {{ fhir_at('onset_text', 'onset_precision') }} as onset_at,
        {{ fhir_date('onset_text', 'onset_precision') }} as onset_date,
        onset_precision,
        severity,
        is_deleted,
        valid_at,
        source_revision,
        observed_at,
        load_id
    from judged
)

select * from cleansed
