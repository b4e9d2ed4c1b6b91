{{ config(
    pre_hook="{{ refuse_older_list('int_products__inferred') }}",
    indexes=[{'columns': ['product_key']}, {'columns': ['product_version_key']}, {'columns': ['product_id']}],
) }}

with shop as (
    select * from {{ ref('int_shop_products__versions') }}
),

retail as (
    select
        versions.*,
        service_codes.line_type as service_type
    from {{ ref('snap_retail__products') }} as versions
    left join {{ ref('retail_service_codes') }} as service_codes on versions.product_code = service_codes.product_code
),

versions as (
    select
        'shop' as source_id,
        cast(product_id as {{ dbt.type_string() }}) as product_id,
        sku as product_code,
        product_name,
        category_name, parent_category_name, 'good' as product_type, list_price_amount, currency_code, is_active,
        valid_from, valid_to, is_deleted, false as is_inferred
    from shop
    union all
    select
        'retail', product_code, product_code, description, null, null, coalesce(service_type, 'good'), null, null, null,
        valid_from, valid_to, is_deleted, false
    from retail
    union all
    select
        inferred.source_id,
        inferred.product_id,
        case when inferred.source_id = 'retail' then inferred.product_id end,
        null,
        null,
        null,
        coalesce(service_codes.line_type, 'good'),
        null,
        null,
        null,
        {{ beginning_of_time() }}, {{ end_of_time() }}, false, true
    from {{ ref('int_products__inferred') }} as inferred
    left join {{ ref('retail_service_codes') }} as service_codes
        on inferred.source_id = 'retail' and inferred.product_id = service_codes.product_code
),

keyed as (
    select
        {{ surrogate_key(["'product'", 'source_id', 'product_id']) }} as product_key,
        {{ surrogate_key(["'product'", 'source_id', 'product_id', 'valid_from']) }} as product_version_key,
        *
    from versions
    union all
    select
        {{ unknown_key() }},
        {{ unknown_key() }},
        'granary',
        'unknown',
        null,
        'Unknown',
        null,
        null,
        'unknown',
        null,
        null,
        null, {{ beginning_of_time() }}, {{ end_of_time() }}, false, false
    union all
    select
        {{ not_applicable_key() }},
        {{ not_applicable_key() }},
        'granary',
        'not applicable',
        null,
        'Not applicable',
        null,
        null, 'not applicable', null, null, null, {{ beginning_of_time() }}, {{ end_of_time() }}, false, false
)

select
    product_version_key,
    product_key,
    {{ surrogate_key(["'source'", 'source_id']) }} as source_key,
    product_id,
    product_code,
    coalesce(product_name, product_code, product_id) as product_name,
    category_name,
    parent_category_name,
    product_type,
    cast(list_price_amount as numeric(28, 4)) as list_price_amount,
    currency_code,
    is_active,
    valid_from,
    valid_to,
    valid_to = {{ end_of_time() }} as is_current,
    is_deleted,
    is_inferred
from keyed
