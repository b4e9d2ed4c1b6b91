{# The facts that are joined to versions of customers and products: the touched keys are computed for all of them together. #}
{% macro facts_of_customers() -%}
    {{ return(['fct_sales', 'fct_orders', 'fct_payments', 'fct_refunds']) }}
{%- endmacro %}

{% macro facts_of_products() -%}
    {{ return(['fct_sales', 'fct_inventory_movements', 'fct_inventory_daily']) }}
{%- endmacro %}

{# Keys that several models make. #}
{% macro order_key(column) -%}{{ surrogate_key(["'order'", column]) }}{%- endmacro %}

{% macro invoice_key(column) -%}{{ surrogate_key(["'invoice'", column]) }}{%- endmacro %}

{# A relation that lists order_id, with the facts' order_key beside it. #}
{% macro order_keys_of(model_name) -%}
    {{ return('(select order_id, ' ~ order_key('order_id') ~ ' as order_key from ' ~ ref(model_name) ~ ') as keyed') }}
{%- endmacro %}

{#  The product days that fct_inventory_daily computes again: what movements touched, and for every product the days by
    which the last day of all moved, forward or back. #}
{% macro inventory_days_touched(touched, movements, daily) -%}
    (
        select
            changes.product_key,
            min(changes.business_date) as business_date
        from (
            select product_key, business_date from {{ touched }}
            union all
            select
                products.product_key,
                least(last_days.built_date, last_days.present_date) + 1 as business_date
            from (select distinct product_key from {{ movements }}) as products
            cross join (
                select
                    (select max(business_date) from {{ daily }}) as built_date,
                    (select max(business_date) from {{ movements }}) as present_date
            ) as last_days
        ) as changes
        group by changes.product_key
    ) as touched_days
{%- endmacro %}

{#  What each known customer ordered, from the lines of fct_sales: customer_key, sales_document_key, ordered_date,
    is_purchase, net_sales_amount. A purchase has something left of it after cancellations; what came back was bought. #}
{% macro documents_of_customers(sales) -%}
    (
        select
            customer_key,
            sales_document_key,
            min(case when line_type in ('sale', 'service') then business_date end) as ordered_date,
            coalesce(
                max(case when line_type in ('sale', 'service') then 1 else 0 end) = 1
                and sum(case when line_type in ('sale', 'service', 'cancellation') then quantity else 0 end) > 0,
                false
            ) as is_purchase,
            sum(case when is_net_sales then net_reporting_amount else 0 end) as net_sales_amount
        from {{ sales }}
        where customer_key <> {{ unknown_key() }}
        group by customer_key, sales_document_key
    )
{%- endmacro %}
