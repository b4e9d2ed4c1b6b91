with source as (
    select * from {{ source('release_keys', 'keys') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        release_number,
        source_id,
        person_id,
        cast(release_key as uuid) as release_key,
        began_at,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from source
)

select * from renamed
