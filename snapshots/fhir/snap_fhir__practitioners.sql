{% snapshot snap_fhir__practitioners %}

    {{ config(
        unique_key='practitioner_id',
        check_cols=[
            'national_provider_identifier', 'family_name_token', 'given_name_token', 'gender',
            'is_inactive',
        ],
    ) }}

    select * from {{ ref('stg_fhir__practitioners') }}

{% endsnapshot %}
