{# The relations that hold keys of versions of customers and products: the touched keys are computed for all of them together. #}
{% macro facts_of_customers() -%}
    {{ return(['fct_sales', 'fct_orders', 'fct_payments', 'fct_refunds', 'agg_sales__documents']) }}
{%- endmacro %}

{% macro facts_of_products() -%}
    {{ return(['fct_sales', 'fct_inventory_movements', 'fct_inventory_daily', 'agg_sales__documents']) }}
{%- endmacro %}

{# Keys that several models make. #}
{% macro order_key(column) -%}{{ surrogate_key(["'order'", column]) }}{%- endmacro %}

{# Each series of files has invoice numbers of its own. #}
{% macro invoice_key(series, column) -%}{{ surrogate_key(["'invoice'", series, column]) }}{%- endmacro %}

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
            where last_days.built_date is distinct from last_days.present_date
        ) as changes
        group by changes.product_key
    ) as touched_days
{%- endmacro %}

{#  A condition for latest_versions(): movements that were ever of a touched product, on its first touched day or later. A
    day is taken away for the time zone; what is too early goes out where the days are known. #}
{% macro movements_since_touched(movements) -%}
    {%- if is_incremental() -%}
        {{ return('log.inventory_movement_id in (select every_version.inventory_movement_id from ' ~ movements
            ~ ' as every_version inner join ' ~ touched_table() ~ ' as touched'
            ~ ' on every_version.product_id = touched.product_id'
            ~ ' and every_version.moved_at >= cast(' ~ add_days('touched.business_date', -1) ~ ' as timestamp))') }}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}
