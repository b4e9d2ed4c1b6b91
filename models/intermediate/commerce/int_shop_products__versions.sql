{%- set tracked = [
    'sku', 'product_name', 'category_name', 'parent_category_name', 'list_price_amount', 'currency_code', 'is_active',
    'is_deleted',
] -%}

with products as (
    select * from {{ ref('snap_shop__products') }}
),

categories as (
    select * from {{ ref('snap_shop__categories') }}
),

instants as (
    select product_id, valid_from from products
    union
    select
        products.product_id,
        categories.valid_from
    from products
    inner join categories
        on
            products.category_id = categories.category_id
            and products.valid_from < categories.valid_from
            and products.valid_to > categories.valid_from
    union
    select
        products.product_id,
        parents.valid_from
    from products
    inner join categories
        on
            products.category_id = categories.category_id
            and products.valid_to > categories.valid_from
            and products.valid_from < categories.valid_to
    inner join categories as parents
        on
            categories.parent_category_id = parents.category_id
            and products.valid_from < parents.valid_from
            and products.valid_to > parents.valid_from
),

states as (
    select
        products.product_id,
        instants.valid_from,
        products.sku,
        products.product_name,
        categories.category_name,
        parents.category_name as parent_category_name,
        products.list_price_amount,
        products.currency_code,
        products.is_active,
        products.is_deleted
    from instants
    inner join products
        on
            instants.product_id = products.product_id
            and instants.valid_from >= products.valid_from
            and instants.valid_from < products.valid_to
    left join categories
        on
            products.category_id = categories.category_id
            and instants.valid_from >= categories.valid_from
            and instants.valid_from < categories.valid_to
    left join categories as parents
        on
            categories.parent_category_id = parents.category_id
            and instants.valid_from >= parents.valid_from
            and instants.valid_from < parents.valid_to
)

{{ merged_neighbours('states', 'product_id', tracked) }}
