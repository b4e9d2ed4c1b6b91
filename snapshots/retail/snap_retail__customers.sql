{% snapshot snap_retail__customers %}

-- The keys that new loads touched are read from this one: depends_on: {{ ref('stg_retail__sales_lines') }}
select * from {{ ref('stg_retail__customers') }}

{% endsnapshot %}
