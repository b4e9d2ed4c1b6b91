with source as (
    select * from {{ source('[[ source ]]', '[[ table ]]') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
[% for column in columns %]
        [[ column ]],
[% endfor %]
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from source
)

select * from renamed
