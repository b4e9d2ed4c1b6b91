{% snapshot snap_shop__products %}

    {{ config(
        unique_key='product_id',
        check_cols=[
            'sku', 'product_name', 'category_id', 'list_price_amount', 'currency_code', 'is_active', 'created_at',
        ],
    ) }}

    select * from {{ ref('stg_shop__products') }}

{% endsnapshot %}
