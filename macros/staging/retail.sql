{# What the retail files write, as we call it. Several staging models read the same lines. #}

{# A product's code: files write the same code in either case. #}
{% macro retail_product_code(column) -%}upper(trim({{ column }})){%- endmacro %}

{# A customer's number: a spreadsheet made 17850.0 of 17850. #}
{% macro retail_customer_id(column) -%}nullif(regexp_replace(trim({{ column }}), '\.0+$', ''), ''){%- endmacro %}
