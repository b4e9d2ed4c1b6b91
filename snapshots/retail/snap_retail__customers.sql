{% snapshot snap_retail__customers %}

    {{ config(
        unique_key='customer_id',
        check_cols=['country_name'],
        meta={
            'touched_by': 'stg_retail__sales_lines',
            'touched_records': ['trading_date', 'file_series', 'invoice_no', 'line_number'],
        },
    ) }}

    -- depends_on: {{ ref('stg_retail__sales_lines') }}: a line may vanish from a later version of its day's file, so
    -- whom a load touched is asked of every version of the lines.
    select * from {{ ref('stg_retail__customers') }}

{% endsnapshot %}
