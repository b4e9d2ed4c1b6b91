{% snapshot snap_fhir__devices %}

    {{ config(
        unique_key='device_id',
        check_cols=[
            'patient_id', 'device_identifier_token', 'serial_number_token', 'status', 'manufacturer',
            'device_name', 'model_number', 'type_code', 'type_system', 'type_display', 'owner_id',
            'owner_reference',
        ],
    ) }}

    select * from {{ ref('stg_fhir__devices') }}

{% endsnapshot %}
