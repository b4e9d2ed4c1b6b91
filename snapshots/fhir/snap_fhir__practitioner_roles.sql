{% snapshot snap_fhir__practitioner_roles %}

    {{ config(
        unique_key='practitioner_role_id',
        check_cols=[
            'practitioner_id', 'practitioner_reference', 'practitioner_npi', 'organization_id',
            'organization_reference', 'organization_identifier_system', 'organization_identifier',
            'role_code', 'role_system', 'role_display', 'specialty_code', 'specialty_system',
            'specialty_display', 'started_at', 'ended_at', 'is_inactive',
        ],
    ) }}

    select * from {{ ref('stg_fhir__practitioner_roles') }}

{% endsnapshot %}
