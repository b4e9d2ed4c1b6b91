-- Every line that the sources hold now is in fct_sales exactly once. Lines are compared by what they sell: their number,
-- units and amounts; that none is there twice while another is missing is what the key's test is for.
{{ config(meta={'quality_dimension': 'completeness', 'touched_by': 'fct_sales'}) }}

with items as (
    select * from {{ latest_versions(ref('stg_shop__order_items'), 'order_item_id') }} as latest
),

invoice_lines as (
    select * from {{ latest_versions(
        ref('stg_retail__sales_lines'), ['trading_date', 'file_series', 'invoice_no', 'line_number']
    ) }} as latest
),

held as (
    select
        'shop' as source_id,
        cast(product_id as {{ dbt.type_string() }}) as product_code,
        count(*) as line_count,
        sum(quantity) as quantity,
        sum(quantity * unit_price_amount) as gross_amount
    from items
    group by product_id
    union all
    select
        'retail' as source_id,
        stock_code as product_code,
        count(*) as line_count,
        sum(quantity) as quantity,
        sum(quantity * unit_price_amount) as gross_amount
    from invoice_lines
    group by stock_code
),

published as (
    select
        source_key,
        product_code,
        count(*) as line_count,
        sum(quantity) as quantity,
        sum(gross_amount) as gross_amount
    from {{ ref('fct_sales') }}
    group by source_key, product_code
),

named as (
    select
        sources.source_id,
        published.product_code,
        published.line_count,
        published.quantity,
        published.gross_amount
    from published
    inner join {{ ref('dim_sources') }} as sources on published.source_key = sources.source_key
)

select
    coalesce(held.source_id, named.source_id) as source_id,
    coalesce(held.product_code, named.product_code) as product_code,
    held.line_count as held_line_count,
    named.line_count,
    held.quantity as held_quantity,
    named.quantity,
    held.gross_amount as held_gross_amount,
    named.gross_amount
from held
full outer join named
    on
        held.source_id = named.source_id
        and coalesce(held.product_code, '') = coalesce(named.product_code, '')
where
    held.line_count is distinct from named.line_count
    or held.quantity is distinct from named.quantity
    or held.gross_amount is distinct from named.gross_amount
