{% snapshot snap_fhir__patients %}

    {{ config(
        unique_key='patient_id',
        check_cols=[
            'ssn_token', 'medical_record_number_token', 'family_name_token', 'given_name_token', 'city',
            'state', 'postal_code', 'country', 'gender', 'birth_text', 'birth_date', 'birth_precision',
            'deceased_text', 'deceased_at', 'deceased_date', 'deceased_precision', 'is_deceased',
            'marital_status_code', 'race_code', 'ethnicity_code', 'birth_sex', 'is_inactive',
        ],
    ) }}

    select * from {{ ref('stg_fhir__patients') }}

{% endsnapshot %}
