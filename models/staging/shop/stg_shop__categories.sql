with source as (
    select * from {{ source('shop', 'categories') }}
    where {{ from_completed_load() }}
),

renamed as (
    select
        id as category_id,
        parent_id as parent_category_id,
        {{ collapsed('name') }} as category_name,
        created_at,
        updated_at,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from source
)

select * from renamed
