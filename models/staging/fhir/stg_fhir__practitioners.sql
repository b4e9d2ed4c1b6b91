{# Made from views/practitioners.json by `make fhir-view`: change that. #}
with source as (
    select * from {{ source('fhir', 'practitioners') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        id as practitioner_id,
        last_updated as last_updated_at,
        version_id,
        national_provider_identifier,
        family_name as family_name_token,
        given_name as given_name_token,
        {{ folded('gender') }} as gender,
        (active = false) as is_inactive,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from source
)

select * from renamed
