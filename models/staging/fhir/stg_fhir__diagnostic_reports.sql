{# Made from views/diagnostic_reports.json by `make fhir-view`: change that. #}
{% set category_paths = [[0, 'coding', 0, 'code'], [0, 'coding', 0, 'system'], [0, 'coding', 0, 'display']] %}
{% set each_1_paths = [['code'], ['system'], ['display']] %}
{% set conclusion_code_paths = [[0, 'coding', 0, 'code'], [0, 'coding', 0, 'system'], [0, 'coding', 0,
    'display']] %}
with source as (
    select * from {{ source('fhir', 'diagnostic_reports') }}
    where {{ from_completed_load() }}
),

each_1 as (
    select *, coalesce({{ json_only(json_where(json_place_list('code', ['coding']), 'item_1', '(' ~
        json_value_text('item_1', ['system']) ~ " = 'http://loinc.org')")) }}, {{ json_only(json_place_list('code',
        ['coding'])) }}) as each_1
    from source
),

renamed as (
    select
        id as diagnostic_report_id,
        last_updated as last_updated_at,
        version_id,
        patient_id,
        {{ fhir_reference_key(json_place_text('encounter', ['reference']), 'Encounter') }} as encounter_id,
        {{ folded('status') }} as status,
        {{ json_places_text('category', category_paths, 1) }} as category_code,
        {{ json_places_text('category', category_paths, 2) }} as category_system,
        {{ json_places_text('category', category_paths, 3) }} as category_display,
        {{ json_values_text('each_1', each_1_paths, 1) }} as report_code,
        {{ json_values_text('each_1', each_1_paths, 2) }} as report_system,
        {{ json_values_text('each_1', each_1_paths, 3) }} as report_display,
        effective_date_time as effective_text,
        {{ json_place_text('effective_period', ['start']) }} as effective_started_text,
        {{ json_place_text('effective_period', ['end']) }} as effective_ended_text,
        issued as issued_text,
        {{ json_places_text('conclusion_code', conclusion_code_paths, 1) }} as conclusion_code,
        {{ json_places_text('conclusion_code', conclusion_code_paths, 2) }} as conclusion_system,
        {{ json_places_text('conclusion_code', conclusion_code_paths, 3) }} as conclusion_display,
        {{ json_place_text('presented_form', [0, 'contentType']) }} as form_content_type,
        {{ fhir_integer(json_place_text('presented_form', [0, 'size'])) }} as form_size,
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
        {{ fhir_precision('effective_text') }} as effective_precision,
        {{ fhir_precision('effective_started_text') }} as effective_started_precision,
        {{ fhir_precision('effective_ended_text') }} as effective_ended_precision,
        {{ fhir_precision('issued_text') }} as issued_precision
    from renamed
),

cleansed as (
    select
        diagnostic_report_id,
        last_updated_at,
        version_id,
        patient_id,
        encounter_id,
        status,
        category_code,
        category_system,
        category_display,
        report_code,
        report_system,
        report_display,
        effective_text,
        {{ fhir_at('effective_text', 'effective_precision') }} as effective_at,
        {{ fhir_date('effective_text', 'effective_precision') }} as effective_date,
        effective_precision,
        effective_started_text,
        {{ fhir_at('effective_started_text', 'effective_started_precision') }} as effective_started_at,
        {{ fhir_date('effective_started_text', 'effective_started_precision') }} as effective_started_date,
        effective_started_precision,
        effective_ended_text,
        {{ fhir_at('effective_ended_text', 'effective_ended_precision') }} as effective_ended_at,
        {{ fhir_date('effective_ended_text', 'effective_ended_precision') }} as effective_ended_date,
        effective_ended_precision,
        issued_text,
        {{ fhir_at('issued_text', 'issued_precision') }} as issued_at,
        {{ fhir_date('issued_text', 'issued_precision') }} as issued_date,
        issued_precision,
        conclusion_code,
        conclusion_system,
        conclusion_display,
        form_content_type,
        form_size,
        is_deleted,
        valid_at,
        source_revision,
        observed_at,
        load_id
    from judged
)

select * from cleansed
