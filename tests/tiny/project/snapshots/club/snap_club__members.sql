{% snapshot snap_club__members %}

    {{ config(unique_key='member_id', check_cols=['email_token', 'town', 'tier']) }}

    select * from {{ ref('stg_club__members') }}

{% endsnapshot %}
