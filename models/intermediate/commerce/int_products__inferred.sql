{{ config(materialized='table', post_hook=list_of_keys()) }}

with inferred_shop as (
    select cast(product_id as {{ dbt.type_string() }}) as product_id
    from {{ ref('stg_shop__order_items') }}
    where product_id is not null
    group by product_id
    union
    select cast(product_id as {{ dbt.type_string() }})
    from {{ ref('stg_shop__inventory_movements') }}
    where product_id is not null
    group by product_id
    except
    select cast(product_id as {{ dbt.type_string() }}) from {{ ref('int_shop_products__versions') }}
),

present_files as (
    select
        trading_date,
        file_series,
        max(source_revision) as source_revision
    from {{ ref('stg_retail__files') }}
    group by trading_date, file_series
),

-- Only the present version of a day's file names products: a code that a corrected file has no more was never sold.
inferred_retail as (
    select lines.product_code
    from {{ ref('stg_retail__sales_lines') }} as lines
    inner join present_files
        on
            lines.trading_date = present_files.trading_date
            and lines.file_series = present_files.file_series
            and lines.source_revision = present_files.source_revision
    where lines.product_code is not null and not lines.is_deleted
    except
    select product_code from {{ ref('snap_retail__products') }}
)

select
    'shop' as source_id,
    product_id
from inferred_shop
union all
select
    'retail',
    product_code
from inferred_retail
