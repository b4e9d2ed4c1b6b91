{# Made from views/medication_requests.json by `make fhir-view`: change that. #}
{% set category_paths = [[0, 'coding', 0, 'code'], [0, 'coding', 0, 'system'], [0, 'coding', 0, 'display']] %}
{% set each_1_paths = [['code'], ['system'], ['display']] %}
with source as (
    select * from {{ source('fhir', 'medication_requests') }}
    where {{ from_completed_load() }}
),

each_1 as (
    select *, coalesce({{ json_only(json_where(json_place_list('medication_codeable_concept', ['coding']),
        'item_1', '(' ~ json_value_text('item_1', ['system']) ~
        " = 'http://www.nlm.nih.gov/research/umls/rxnorm')")) }}, {{
        json_only(json_place_list('medication_codeable_concept', ['coding'])) }}) as each_1
    from source
),

renamed as (
    select
        id as medication_request_id,
        last_updated as last_updated_at,
        version_id,
        patient_id,
        {{ fhir_reference_key(json_place_text('encounter', ['reference']), 'Encounter') }} as encounter_id,
        {{ folded('status') }} as status,
        {{ folded('intent') }} as intent,
        {{ json_places_text('category', category_paths, 1) }} as category_code,
        {{ json_places_text('category', category_paths, 2) }} as category_system,
        {{ json_places_text('category', category_paths, 3) }} as category_display,
        {{ json_values_text('each_1', each_1_paths, 1) }} as medication_code,
        {{ json_values_text('each_1', each_1_paths, 2) }} as medication_system,
        {{ json_values_text('each_1', each_1_paths, 3) }} as medication_display,
        {{ json_place_text('medication_reference', ['reference']) }} as medication_reference,
        authored_on as authored_text,
        {{ fhir_reference_key(json_place_text('requester', ['reference']), 'Practitioner') }} as requester_id,
        {{ json_place_text('requester', ['reference']) }} as requester_reference,
        {{ fhir_reference_key(json_place_text('reason_reference', [0, 'reference']),
            'Condition') }} as reason_id,
        {{ json_place_text('reason_reference', [0, 'reference']) }} as reason_reference,
        do_not_perform as is_prohibition,
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
        {{ fhir_precision('authored_text') }} as authored_precision
    from renamed
),

cleansed as (
    select
        medication_request_id,
        last_updated_at,
        version_id,
        patient_id,
        encounter_id,
        status,
        intent,
        category_code,
        category_system,
        category_display,
        medication_code,
        medication_system,
        medication_display,
        medication_reference,
        authored_text,
        {{ fhir_at('authored_text', 'authored_precision') }} as authored_at,
        {{ fhir_date('authored_text', 'authored_precision') }} as authored_date,
        authored_precision,
        requester_id,
        requester_reference,
        reason_id,
        reason_reference,
        is_prohibition,
        is_deleted,
        valid_at,
        source_revision,
        observed_at,
        load_id
    from judged
)

select * from cleansed
