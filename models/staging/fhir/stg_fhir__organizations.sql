{# Made from views/organizations.json by `make fhir-view`: change that. #}
{% set type_paths = [[0, 'coding', 0, 'code'], [0, 'coding', 0, 'system'], [0, 'coding', 0, 'display']] %}
{% set address_paths = [[0, 'city'], [0, 'state'], [0, 'postalCode'], [0, 'country']] %}
with source as (
    select * from {{ source('fhir', 'organizations') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        id as organization_id,
        last_updated as last_updated_at,
        version_id,
        name as organization_name,
        {{ json_places_text('type', type_paths, 1) }} as type_code,
        {{ json_places_text('type', type_paths, 2) }} as type_system,
        {{ json_places_text('type', type_paths, 3) }} as type_display,
        {{ json_places_text('address', address_paths, 1) }} as city,
        {{ json_places_text('address', address_paths, 2) }} as state,
        {{ json_places_text('address', address_paths, 3) }} as postal_code,
        {{ json_places_text('address', address_paths, 4) }} as country,
        {{ fhir_reference_key(json_place_text('part_of', ['reference']), 'Organization') }} as part_of_id,
        {{ json_place_text('part_of', ['reference']) }} as part_of_reference,
        (active = false) as is_inactive,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from source
)

select * from renamed
