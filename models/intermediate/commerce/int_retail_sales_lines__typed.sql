-- Every version of a line, so that whoever wants the latest can ask for a few invoices' lines alone.
with sales_lines as (
    select * from {{ ref('stg_retail__sales_lines') }}
),

service_codes as (
    select * from {{ ref('retail_service_codes') }}
),

country_names as (
    select * from {{ ref('country_names') }}
)

select
    sales_lines.trading_date,
    sales_lines.file_series,
    sales_lines.invoice_no,
    sales_lines.line_number,
    sales_lines.stock_code,
    sales_lines.product_code,
    sales_lines.customer_id,
    country_names.country_code,
    case
        when sales_lines.is_cancellation then 'cancellation'
        when sales_lines.unit_price_amount < 0 then 'adjustment'
        when service_codes.line_type is not null then service_codes.line_type
        when sales_lines.unit_price_amount = 0 and sales_lines.quantity < 0 then 'write_off'
        when sales_lines.unit_price_amount = 0 and sales_lines.customer_id is null then 'adjustment'
        when sales_lines.quantity < 0 then 'return'
        else 'sale'
    end as line_type,
    sales_lines.quantity,
    sales_lines.unit_price_amount,
    sales_lines.invoiced_at,
    sales_lines.is_deleted,
    sales_lines.valid_at,
    sales_lines.source_revision,
    sales_lines.observed_at,
    sales_lines.load_id
from sales_lines
left join service_codes on sales_lines.product_code = service_codes.product_code
left join country_names on {{ folded('sales_lines.country_name') }} = country_names.country_name
