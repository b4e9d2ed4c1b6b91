{{ config(
    materialized='incremental',
    incremental_strategy='touched_keys',
    unique_key='sales_document_key',
    meta={'partition_by_month': 'business_date'},
    pre_hook="{{ remember_touched(ref('int_sales_documents__touched'), 'int_sales_documents__touched') }}",
    indexes=[{'columns': ['sales_document_key']}, {'columns': ['business_date'], 'type': 'brin'}],
) }}
-- depends_on: {{ ref('int_sales_documents__touched') }}

with orders as (
    select * from {{ latest_versions(ref('stg_shop__orders'), 'order_id', among_touched('order_id')) }} as latest
),

items as (
    select *
    from {{ latest_versions(
        ref('stg_shop__order_items'), 'order_item_id',
        among_children_of_touched(ref('stg_shop__order_items'), 'order_item_id', 'order_id')
    ) }} as latest
    {%- if is_incremental() %}
    where latest.order_id in (select touched.order_id from {{ touched_table() }} as touched)
    {%- endif %}
),

invoice_lines as (
    select *
    from {{ latest_versions(
        ref('int_retail_sales_lines__typed'), ['trading_date', 'file_series', 'invoice_no', 'line_number'],
        among_touched('file_series', 'invoice_no')
    ) }} as latest
),

-- What the lines of an order share is computed once for each order.
shared as (
    select
        orders.order_id, orders.currency_code, orders.placed_at, addresses.country_code,
        {{ business_date('orders.placed_at') }} as placed_date,
        {{ order_key('orders.order_id') }} as order_key,
        {{ surrogate_key(["'channel'", 'orders.channel_id']) }} as channel_key,
        {{ surrogate_key(["'shop'", 'orders.user_id']) }} as customer_key
    from orders
    left join {{ ref('snap_shop__addresses') }} as addresses
        on
            orders.shipping_address_id = addresses.address_id
            and orders.placed_at >= addresses.valid_from
            and orders.placed_at < addresses.valid_to
    {{ computed_once() }}
),

lines as (
    -- A line whose order is not there yet, or no more, is kept: its customer, channel and currency are unknown then.
    select
        {{ surrogate_key(["'shop'", 'items.order_item_id']) }} as sales_line_key,
        coalesce(orders.order_key, {{ order_key('items.order_id') }}) as sales_document_key,
        {{ surrogate_key(["'source'", "'shop'"]) }} as source_key,
        cast(items.order_id as {{ dbt.type_string() }}) as document_number,
        items.line_number,
        items.line_kind as line_type,
        orders.channel_key,
        orders.customer_key,
        cast(items.product_id as {{ dbt.type_string() }}) as product_id,
        -- A line that takes a service back names no product either.
        case
            when items.product_id is null and items.line_kind <> 'sale' then {{ not_applicable_key() }}
            else {{ unknown_key() }}
        end as key_of_no_product,
        cast(items.product_id as {{ dbt.type_string() }}) as product_code,
        orders.country_code,
        coalesce(orders.currency_code, 'ZZZ') as currency_code,
        case
            when items.line_kind in ('return', 'cancellation') then coalesce(items.created_at, items.updated_at)
            else coalesce(orders.placed_at, items.created_at, items.updated_at)
        end as sold_at,
        case when items.line_kind not in ('return', 'cancellation') then orders.placed_date end as sold_date,
        items.quantity, items.unit_price_amount, items.discount_amount, items.tax_amount
    from items
    left join shared as orders on items.order_id = orders.order_id
    union all
    select
        {{ surrogate_key(["'retail'", 'lines.trading_date', 'lines.file_series', 'lines.invoice_no',
            'lines.line_number']) }},
        {{ invoice_key('lines.file_series', 'lines.invoice_no') }},
        {{ surrogate_key(["'source'", "'retail'"]) }},
        lines.invoice_no, lines.line_number, lines.line_type, {{ surrogate_key(["'channel'", "'store'"]) }},
        {{ surrogate_key(["'retail'", 'lines.customer_id']) }},
        lines.product_code, {{ unknown_key() }}, lines.stock_code, lines.country_code, 'GBP', lines.invoiced_at, null,
        lines.quantity, lines.unit_price_amount, cast(0 as numeric(28, 4)), cast(0 as numeric(28, 4))
    from invoice_lines as lines
),

dated as (
    select
        *,
        coalesce(sold_date, {{ business_date('sold_at') }}) as business_date,
        cast({{ product('unit_price_amount', 'quantity') }} as numeric(28, 4)) as gross_amount
    from lines
    {{ computed_once() }}
)

select
    dated.sales_line_key,
    dated.sales_document_key,
    dated.source_key,
    coalesce(dated.channel_key, {{ unknown_key() }}) as channel_key,
    coalesce(customers.customer_key, {{ unknown_key() }}) as customer_key,
    coalesce(customers.customer_version_key, {{ unknown_key() }}) as customer_version_key,
    coalesce(products.product_key, dated.key_of_no_product) as product_key,
    coalesce(products.product_version_key, dated.key_of_no_product) as product_version_key,
    coalesce(countries.country_key, {{ unknown_key() }}) as country_key,
    coalesce(currencies.currency_key, {{ unknown_key() }}) as currency_key,
    dated.business_date, dated.sold_at, dated.document_number,
    cast(dated.line_number as bigint) as line_number,
    dated.line_type,
    dated.line_type in ('sale', 'service', 'return', 'cancellation') as is_net_sales,
    dated.product_code,
    cast(dated.quantity as bigint) as quantity,
    cast(dated.unit_price_amount as numeric(28, 4)) as unit_price_amount,
    dated.gross_amount,
    cast(dated.discount_amount as numeric(28, 4)) as discount_amount,
    cast(dated.tax_amount as numeric(28, 4)) as tax_amount,
    cast(dated.gross_amount - dated.discount_amount as numeric(28, 4)) as net_amount,
    dated.currency_code,
    {{ at_rate('dated.gross_amount', 'rates.rate') }} as gross_reporting_amount,
    {{ at_rate('dated.discount_amount', 'rates.rate') }} as discount_reporting_amount,
    {{ at_rate('dated.tax_amount', 'rates.rate') }} as tax_reporting_amount,
    cast(
        {{ at_rate('dated.gross_amount', 'rates.rate') }}
        - {{ at_rate('dated.discount_amount', 'rates.rate') }} as numeric(28, 4)
    ) as net_reporting_amount,
    cast('{{ var("reporting_currency") }}' as {{ dbt.type_string() }}) as reporting_currency_code
from dated
left join {{ ref('dim_customers') }} as customers
    on
        dated.customer_key = customers.customer_key
        and dated.sold_at >= customers.valid_from
        and dated.sold_at < customers.valid_to
left join {{ ref('dim_products') }} as products
    on
        dated.source_key = products.source_key
        and dated.product_id = products.product_id
        and dated.sold_at >= products.valid_from
        and dated.sold_at < products.valid_to
left join {{ ref('dim_countries') }} as countries on dated.country_code = countries.country_code
left join {{ ref('dim_currencies') }} as currencies on dated.currency_code = currencies.currency_code
left join {{ ref('int_exchange_rates__intervals') }} as rates
    on
        dated.currency_code = rates.currency_code
        and dated.business_date >= rates.valid_from
        and dated.business_date < rates.valid_to
