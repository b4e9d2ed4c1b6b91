{% snapshot snap_retail__products %}

    -- depends_on: {{ ref('stg_retail__sales_lines') }}, which says whom new loads touched.
    select * from {{ ref('stg_retail__products') }}

{% endsnapshot %}
