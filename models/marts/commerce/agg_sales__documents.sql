{{ config(
    materialized='incremental',
    incremental_strategy='touched_keys',
    unique_key='sales_document_key',
    pre_hook="{{ remember_touched(ref('int_sales_documents__touched'), 'int_sales_documents__touched') }}",
    indexes=[{'columns': ['sales_document_key']}, {'columns': ['customer_key']}],
) }}
-- depends_on: {{ ref('int_sales_documents__touched') }}

with sales as (
    select * from {{ ref('fct_sales') }}
    where customer_key <> {{ unknown_key() }}
    {%- if is_incremental() %}
        and sales_document_key in (select touched.sales_document_key from {{ touched_table() }} as touched)
    {%- endif %}
),

months as (
    select
        sales_document_key,
        customer_key,
        {{ month_start('business_date') }} as month_start_date,
        min(case when line_type in ('sale', 'service') then business_date end) as ordered_date,
        sum(case when line_type in ('sale', 'service', 'cancellation') then quantity else 0 end) as kept_quantity,
        coalesce(sum(case when is_net_sales then net_reporting_amount else 0 end), 0) as net_sales_amount
    from sales
    group by sales_document_key, customer_key, {{ month_start('business_date') }}
),

documents as (
    select
        sales_document_key,
        customer_key,
        min(ordered_date) as ordered_date,
        sum(kept_quantity) as kept_quantity
    from months
    group by sales_document_key, customer_key
)

select
    months.sales_document_key,
    months.customer_key,
    months.month_start_date,
    documents.ordered_date,
    coalesce(documents.ordered_date is not null and documents.kept_quantity > 0, false) as is_purchase,
    coalesce({{ month_start('documents.ordered_date') }} = months.month_start_date, false) as is_month_of_order,
    cast(months.net_sales_amount as numeric(28, 4)) as net_sales_amount,
    cast('{{ var("reporting_currency") }}' as {{ dbt.type_string() }}) as reporting_currency_code
from months
inner join documents
    on
        months.sales_document_key = documents.sales_document_key
        and months.customer_key = documents.customer_key
