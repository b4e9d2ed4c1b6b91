{% snapshot snap_fhir__organizations %}

    {{ config(
        unique_key='organization_id',
        check_cols=[
            'organization_name', 'type_code', 'type_system', 'type_display', 'city', 'state',
            'postal_code', 'country', 'part_of_id', 'part_of_reference', 'is_inactive',
        ],
    ) }}

    select * from {{ ref('stg_fhir__organizations') }}

{% endsnapshot %}
