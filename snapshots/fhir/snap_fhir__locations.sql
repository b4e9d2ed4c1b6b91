{% snapshot snap_fhir__locations %}

    {{ config(
        unique_key='location_id',
        check_cols=[
            'location_name', 'status', 'mode', 'type_code', 'type_system', 'type_display', 'city',
            'state', 'postal_code', 'country', 'managing_organization_id',
            'managing_organization_reference', 'managing_organization_identifier_system',
            'managing_organization_identifier',
        ],
    ) }}

    select * from {{ ref('stg_fhir__locations') }}

{% endsnapshot %}
