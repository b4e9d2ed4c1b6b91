{% snapshot snap_lab__patients %}

    {{ config(
        unique_key='patient_source_id',
        check_cols=[
            'medical_record_number_token', 'ssn_token', 'family_name_token', 'given_name_token', 'city', 'state',
            'postal_code', 'country',
            'sex_code', 'birth_date', 'birth_precision', 'deceased_at', 'deceased_date', 'deceased_precision',
            'is_deceased', 'race_code', 'ethnicity_code',
        ],
    ) }}

    -- A message that names nobody is nobody's version.
    select * from {{ ref('stg_lab__patients') }}
    where patient_source_id is not null

{% endsnapshot %}
