{% snapshot snap_shop__users %}

    {{ config(
        unique_key='user_id',
        check_cols=['email', 'first_name', 'last_name', 'status', 'created_at'],
    ) }}

    select * from {{ ref('stg_shop__users') }}

{% endsnapshot %}
