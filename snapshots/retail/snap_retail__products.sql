{% snapshot snap_retail__products %}

    {{ config(
        unique_key='product_code',
        check_cols=['description'],
        meta={
            'touched_by': 'stg_retail__sales_lines',
            'touched_records': ['trading_date', 'file_series', 'invoice_no', 'line_number'],
        },
    ) }}

    -- depends_on: {{ ref('stg_retail__sales_lines') }}: a line may vanish from a later version of its day's file, so
    -- whom a load touched is asked of every version of the lines.
    select * from {{ ref('stg_retail__products') }}

{% endsnapshot %}
