{{ config(materialized='table', post_hook=list_of_keys()) }}
-- Orders and invoices whose lines in fct_sales, or what they add up to, may no longer hold.
with new_loads as (
    {{ loads_new_to(['fct_sales', 'agg_sales__documents']) }}
),

fresh_lines as (
    select
        trading_date,
        file_series,
        invoice_no,
        line_number
    from {{ ref('stg_retail__sales_lines') }}
    where {{ is_one_of('load_id', 'select new_loads.load_id from new_loads') }}
),

-- Every version counts: a line may have been of another product or customer before. By the days alone most are left out
-- unread.
new_lines as (
    select
        lines.file_series,
        lines.invoice_no,
        lines.product_code,
        lines.customer_id,
        lines.trading_date
    from {{ ref('stg_retail__sales_lines') }} as lines
    where
        lines.trading_date in (select fresh_lines.trading_date from fresh_lines)
        and exists (
            select 1
            from fresh_lines
            where
                fresh_lines.trading_date = lines.trading_date
                and fresh_lines.file_series = lines.file_series
                and fresh_lines.invoice_no = lines.invoice_no
                and fresh_lines.line_number = lines.line_number
        )
),

-- A day's lines decide what products and customers are called from that day on.
changed_products as (
    select
        product_code,
        min(trading_date) as changed_from
    from new_lines
    group by product_code
),

changed_customers as (
    select
        customer_id,
        min(trading_date) as changed_from
    from new_lines
    group by customer_id
),

touched_invoices as (
    select
        file_series,
        invoice_no
    from new_lines
    union
    select
        lines.file_series,
        lines.invoice_no
    from {{ ref('stg_retail__sales_lines') }} as lines
    inner join changed_products on lines.product_code = changed_products.product_code
    where cast(lines.invoiced_at as date) >= changed_products.changed_from - 1
    union
    select
        lines.file_series,
        lines.invoice_no
    from {{ ref('stg_retail__sales_lines') }} as lines
    inner join changed_customers on lines.customer_id = changed_customers.customer_id
    where cast(lines.invoiced_at as date) >= changed_customers.changed_from - 1
    {%- if within_backfill('trading_date') %}
    union
    select
        file_series,
        invoice_no
    from {{ ref('stg_retail__sales_lines') }}
    where {{ within_backfill('trading_date') }}
    {%- endif %}
)

select
    {{ order_key('order_id') }} as sales_document_key,
    order_id,
    cast(null as {{ dbt.type_string() }}) as file_series,
    cast(null as {{ dbt.type_string() }}) as invoice_no
from {{ ref('int_orders__touched') }}
union all
select
    {{ invoice_key('file_series', 'invoice_no') }} as sales_document_key,
    null as order_id,
    file_series,
    invoice_no
from touched_invoices
