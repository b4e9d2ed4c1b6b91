{% snapshot snap_accounts__users %}

    {{ config(
        unique_key='account_id',
        check_cols=[
            'email', 'first_name', 'last_name', 'account_status', 'avatar_url', 'bio', 'location',
            'prefers_newsletter', 'preferred_language', 'preferred_theme', 'created_at',
        ],
    ) }}

    select * from {{ ref('stg_accounts__users') }}

{% endsnapshot %}
