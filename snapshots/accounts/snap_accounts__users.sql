{% snapshot snap_accounts__users %}

    {{ config(
        unique_key='account_id',
        check_cols=[
            'email_token', 'first_name_token', 'last_name_token', 'account_status', 'profile_token',
            'prefers_newsletter', 'preferred_language', 'preferred_theme', 'created_at',
        ],
    ) }}

    select * from {{ ref('stg_accounts__users') }}

{% endsnapshot %}
