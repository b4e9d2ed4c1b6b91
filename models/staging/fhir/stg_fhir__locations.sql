{# Made from views/locations.json by `make fhir-view`: change that. #}
{% set type_paths = [[0, 'coding', 0, 'code'], [0, 'coding', 0, 'system'], [0, 'coding', 0, 'display']] %}
{% set physical_type_paths = [['coding', 0, 'code'], ['coding', 0, 'system'], ['coding', 0, 'display']] %}
{% set address_paths = [['city'], ['state'], ['postalCode'], ['country']] %}
{% set managing_organization_paths = [['reference'], ['identifier', 'system'], ['identifier', 'value']] %}
with source as (
    select * from {{ source('fhir', 'locations') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        id as location_id,
        last_updated as last_updated_at,
        version_id,
        name as location_name,
        {{ folded('status') }} as status,
        {{ folded('mode') }} as mode,
        {{ json_places_text('type', type_paths, 1) }} as type_code,
        {{ json_places_text('type', type_paths, 2) }} as type_system,
        {{ json_places_text('type', type_paths, 3) }} as type_display,
        {{ json_places_text('physical_type', physical_type_paths, 1) }} as physical_type_code,
        {{ json_places_text('physical_type', physical_type_paths, 2) }} as physical_type_system,
        {{ json_places_text('physical_type', physical_type_paths, 3) }} as physical_type_display,
        {{ json_places_text('address', address_paths, 1) }} as city,
        {{ json_places_text('address', address_paths, 2) }} as state,
        {{ json_places_text('address', address_paths, 3) }} as postal_code,
        {{ json_places_text('address', address_paths, 4) }} as country,
        {{ json_place_text('position', ['latitude']) }} as latitude_text,
        {{ json_place_text('position', ['longitude']) }} as longitude_text,
        {{ fhir_reference_key(json_places_text('managing_organization', managing_organization_paths, 1),
            'Organization') }} as managing_organization_id,
        {{ json_places_text('managing_organization', managing_organization_paths,
            1) }} as managing_organization_reference,
        {{ json_places_text('managing_organization', managing_organization_paths,
            2) }} as managing_organization_identifier_system,
        {{ json_places_text('managing_organization', managing_organization_paths,
            3) }} as managing_organization_identifier,
        {{ fhir_reference_key(json_place_text('part_of', ['reference']), 'Location') }} as part_of_id,
        {{ json_place_text('part_of', ['reference']) }} as part_of_reference,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from source
),

cleansed as (
    select
        location_id,
        last_updated_at,
        version_id,
        location_name,
        status,
        mode,
        type_code,
        type_system,
        type_display,
        physical_type_code,
        physical_type_system,
        physical_type_display,
        city,
        state,
        postal_code,
        country,
        {{ fhir_number_text('latitude_text') }} as latitude_text,
        {{ fhir_decimal('latitude_text') }} as latitude,
        {{ fhir_number_text('longitude_text') }} as longitude_text,
        {{ fhir_decimal('longitude_text') }} as longitude,
        managing_organization_id,
        managing_organization_reference,
        managing_organization_identifier_system,
        managing_organization_identifier,
        part_of_id,
        part_of_reference,
        is_deleted,
        valid_at,
        source_revision,
        observed_at,
        load_id
    from renamed
)

select * from cleansed
