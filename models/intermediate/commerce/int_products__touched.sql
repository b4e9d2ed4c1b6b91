{{ config(materialized='table', post_hook=list_of_keys()) }}
-- Whose versions may differ from those that the facts were joined to, and from when on.
with new_loads as (
    {{ loads_new_to(facts_of_products()) }}
),

product_versions as (
    select
        product_id,
        valid_at,
        load_id in (select new_loads.load_id from new_loads) as is_new
    from {{ ref('stg_shop__products') }}
),

-- A first version reaches back, so what it changes does too: the categories, whose own changes are versions of it.
changed_products as (
    select
        product_id,
        {{ changed_from() }} as changed_from
    from product_versions
    group by product_id
    having max(case when is_new then 1 else 0 end) = 1
),

-- A category that is renamed or moved changes its own products and those of the categories below it.
category_versions as (
    select
        category_id,
        parent_category_id,
        valid_at,
        load_id in (select new_loads.load_id from new_loads) as is_new
    from {{ ref('stg_shop__categories') }}
),

changed_categories as (
    select
        category_id,
        {{ changed_from() }} as changed_from
    from category_versions
    group by category_id
    having max(case when is_new then 1 else 0 end) = 1
),

concerned_categories as (
    select category_id, changed_from from changed_categories
    union all
    select category_versions.category_id, changed_categories.changed_from
    from category_versions
    inner join changed_categories on category_versions.parent_category_id = changed_categories.category_id
),

all_changes as (
    select product_id, changed_from from changed_products
    union all
    select products.product_id, concerned_categories.changed_from
    from {{ ref('stg_shop__products') }} as products
    inner join concerned_categories on products.category_id = concerned_categories.category_id
)

select
    product_id,
    min(changed_from) as changed_from
from all_changes
group by product_id
