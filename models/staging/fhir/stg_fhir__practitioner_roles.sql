{# Made from views/practitioner_roles.json by `make fhir-view`: change that. #}
{% set organization_paths = [['reference'], ['identifier', 'system'], ['identifier', 'value']] %}
{% set code_paths = [[0, 'coding', 0, 'code'], [0, 'coding', 0, 'system'], [0, 'coding', 0, 'display']] %}
{% set specialty_paths = [[0, 'coding', 0, 'code'], [0, 'coding', 0, 'system'], [0, 'coding', 0, 'display']] %}
with source as (
    select * from {{ source('fhir', 'practitioner_roles') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        id as practitioner_role_id,
        last_updated as last_updated_at,
        version_id,
        {{ fhir_reference_key(json_place_text('practitioner', ['reference']),
            'Practitioner') }} as practitioner_id,
        {{ json_place_text('practitioner', ['reference']) }} as practitioner_reference,
        practitioner_npi,
        {{ fhir_reference_key(json_places_text('organization', organization_paths, 1),
            'Organization') }} as organization_id,
        {{ json_places_text('organization', organization_paths, 1) }} as organization_reference,
        {{ json_places_text('organization', organization_paths, 2) }} as organization_identifier_system,
        {{ json_places_text('organization', organization_paths, 3) }} as organization_identifier,
        {{ json_places_text('code', code_paths, 1) }} as role_code,
        {{ json_places_text('code', code_paths, 2) }} as role_system,
        {{ json_places_text('code', code_paths, 3) }} as role_display,
        {{ json_places_text('specialty', specialty_paths, 1) }} as specialty_code,
        {{ json_places_text('specialty', specialty_paths, 2) }} as specialty_system,
        {{ json_places_text('specialty', specialty_paths, 3) }} as specialty_display,
        {{ json_place_text('period', ['start']) }} as started_text,
        {{ json_place_text('period', ['end']) }} as ended_text,
        (active = false) as is_inactive,
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
        {{ fhir_precision('started_text') }} as started_precision,
        {{ fhir_precision('ended_text') }} as ended_precision
    from renamed
),

cleansed as (
    select
        practitioner_role_id,
        last_updated_at,
        version_id,
        practitioner_id,
        practitioner_reference,
        practitioner_npi,
        organization_id,
        organization_reference,
        organization_identifier_system,
        organization_identifier,
        role_code,
        role_system,
        role_display,
        specialty_code,
        specialty_system,
        specialty_display,
        started_text,
        {{ fhir_at('started_text', 'started_precision') }} as started_at,
        {{ fhir_date('started_text', 'started_precision') }} as started_date,
        started_precision,
        ended_text,
        {{ fhir_at('ended_text', 'ended_precision') }} as ended_at,
        {{ fhir_date('ended_text', 'ended_precision') }} as ended_date,
        ended_precision,
        is_inactive,
        is_deleted,
        valid_at,
        source_revision,
        observed_at,
        load_id
    from judged
)

select * from cleansed
