{# Made from views/encounter_participants.json by `make fhir-view`: change that. #}
{% set each_1_paths = [['individual', 'reference'], ['type', 0, 'coding', 0, 'code'], ['type', 0, 'coding', 0,
    'system'], ['type', 0, 'coding', 0, 'display'], ['period', 'start'], ['period', 'end']] %}
with source as (
    select * from {{ source('fhir', 'encounters') }}
    where {{ from_completed_load() }}
),

each_1 as (
    select source.*, each_1_rows.each_1, each_1_rows.each_1_position
    from source
    cross join lateral {{ json_rows(json_place_list('source.participant', []), 'each_1') }}
),

renamed as (
    select
        id as encounter_id,
        patient_id,
        cast((each_1_position - 1) as bigint) as participant_index,
        {{ fhir_reference_key(json_values_text('each_1', each_1_paths, 1), 'Practitioner') }} as practitioner_id,
        {{ json_values_text('each_1', each_1_paths, 1) }} as practitioner_reference,
        {{ json_values_text('each_1', each_1_paths, 2) }} as participation_code,
        {{ json_values_text('each_1', each_1_paths, 3) }} as participation_system,
        {{ json_values_text('each_1', each_1_paths, 4) }} as participation_display,
        {{ json_values_text('each_1', each_1_paths, 5) }} as started_text,
        {{ json_values_text('each_1', each_1_paths, 6) }} as ended_text,
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
        {{ fhir_precision('started_text') }} as started_precision,
        {{ fhir_precision('ended_text') }} as ended_precision
    from renamed
),

cleansed as (
    select
        encounter_id,
        patient_id,
        participant_index,
        practitioner_id,
        practitioner_reference,
        participation_code,
        participation_system,
        participation_display,
        started_text,
        {{ fhir_at('started_text', 'started_precision') }} as started_at,
        {{ fhir_date('started_text', 'started_precision') }} as started_date,
        started_precision,
        ended_text,
        {{ fhir_at('ended_text', 'ended_precision') }} as ended_at,
        {{ fhir_date('ended_text', 'ended_precision') }} as ended_date,
        ended_precision,
        is_deleted,
        valid_at,
        source_revision,
        observed_at,
        load_id
    from judged
)

select * from cleansed
