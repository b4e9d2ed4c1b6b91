{# What the retail files write, as we call it. Several staging models read the same lines. #}

{# An invoice's number; within it the loader counts the lines (ingestion/sources/retail). #}
{% macro retail_invoice_no(column) -%}{{ folded_up(column) }}{%- endmacro %}

{# A product's code: files write the same code in either case. #}
{% macro retail_product_code(column) -%}{{ folded_up(column) }}{%- endmacro %}

{# A customer's number: a spreadsheet made 17850.0 of 17850. #}
{% macro retail_customer_id(column) -%}nullif(regexp_replace({{ trimmed(column) }}, '\.0+$', ''), ''){%- endmacro %}
