{% snapshot snap_shop__addresses %}

    {{ config(
        unique_key='address_id',
        check_cols=[
            'user_id', 'address_kind', 'line_1_token', 'line_2_token', 'city', 'postal_code', 'region',
            'country_code', 'is_default', 'created_at',
        ],
    ) }}

    select * from {{ ref('stg_shop__addresses') }}

{% endsnapshot %}
