{# Made from views/consents.json by `make fhir-view`: change that. #}
{% set scope_paths = [['coding', 0, 'code'], ['coding', 0, 'system'], ['coding', 0, 'display']] %}
{% set category_paths = [[0, 'coding', 0, 'code'], [0, 'coding', 0, 'system'], [0, 'coding', 0, 'display']] %}
{% set policy_rule_paths = [['coding', 0, 'code'], ['coding', 0, 'system'], ['coding', 0, 'display']] %}
{% set provision_paths = [['type'], ['period', 'start'], ['period', 'end']] %}
with source as (
    select * from {{ source('fhir', 'consents') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        id as consent_id,
        last_updated as last_updated_at,
        version_id,
        patient_id,
        {{ folded('status') }} as status,
        {{ json_places_text('scope', scope_paths, 1) }} as scope_code,
        {{ json_places_text('scope', scope_paths, 2) }} as scope_system,
        {{ json_places_text('scope', scope_paths, 3) }} as scope_display,
        {{ json_places_text('category', category_paths, 1) }} as category_code,
        {{ json_places_text('category', category_paths, 2) }} as category_system,
        {{ json_places_text('category', category_paths, 3) }} as category_display,
        date_time as consented_text,
        {{ fhir_reference_key(json_place_text('organization', [0, 'reference']),
            'Organization') }} as organization_id,
        {{ json_place_text('organization', [0, 'reference']) }} as organization_reference,
        {{ json_places_text('policy_rule', policy_rule_paths, 1) }} as policy_rule_code,
        {{ json_places_text('policy_rule', policy_rule_paths, 2) }} as policy_rule_system,
        {{ json_places_text('policy_rule', policy_rule_paths, 3) }} as policy_rule_display,
        {{ json_places_text('provision', provision_paths, 1) }} as provision_type,
        {{ json_places_text('provision', provision_paths, 2) }} as provision_started_text,
        {{ json_places_text('provision', provision_paths, 3) }} as provision_ended_text,
        deepest_provision as has_deeper_provisions,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from source
),

judged as (
    select
        *,
        {{ fhir_precision('consented_text') }} as consented_precision,
        {{ fhir_precision('provision_started_text') }} as provision_started_precision,
        {{ fhir_precision('provision_ended_text') }} as provision_ended_precision
    from renamed
),

cleansed as (
    select
        consent_id,
        last_updated_at,
        version_id,
        patient_id,
        status,
        scope_code,
        scope_system,
        scope_display,
        category_code,
        category_system,
        category_display,
        consented_text,
        {{ fhir_at('consented_text', 'consented_precision') }} as consented_at,
        {{ fhir_date('consented_text', 'consented_precision') }} as consented_date,
        consented_precision,
        organization_id,
        organization_reference,
        policy_rule_code,
        policy_rule_system,
        policy_rule_display,
        provision_type,
        provision_started_text,
        {{ fhir_at('provision_started_text', 'provision_started_precision') }} as provision_started_at,
        {{ fhir_date('provision_started_text', 'provision_started_precision') }} as provision_started_date,
        provision_started_precision,
        provision_ended_text,
        {{ fhir_at('provision_ended_text', 'provision_ended_precision') }} as provision_ended_at,
        {{ fhir_date('provision_ended_text', 'provision_ended_precision') }} as provision_ended_date,
        provision_ended_precision,
        has_deeper_provisions,
        is_deleted,
        valid_at,
        source_revision,
        observed_at,
        load_id
    from judged
)

select * from cleansed
