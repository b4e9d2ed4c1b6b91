{% snapshot snap_shop__categories %}

    {{ config(
        unique_key='category_id',
        check_cols=['parent_category_id', 'category_name', 'created_at'],
    ) }}

    select * from {{ ref('stg_shop__categories') }}

{% endsnapshot %}
