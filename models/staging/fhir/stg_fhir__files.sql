with source as (
    select * from {{ source('fhir', 'files') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        file_series,
        file_name,
        kind,
        modified_at,
        size_bytes,
        checksum,
        record_count,
        timeless_count,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from source
)

select * from renamed
