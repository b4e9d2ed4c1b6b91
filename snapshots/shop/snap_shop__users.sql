{% snapshot snap_shop__users %}

    {{ config(
        unique_key='user_id',
        check_cols=['email_token', 'first_name_token', 'last_name_token', 'status', 'created_at'],
    ) }}

    select * from {{ ref('stg_shop__users') }}

{% endsnapshot %}
