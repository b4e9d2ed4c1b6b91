-- noqa: disable=LT02
{{ config(
    pre_hook="{{ refuse_older_list('int_patients__records') }}",
    indexes=[{'columns': ['patient_key']}, {'columns': ['patient_version_key']}],
) }}
{%- set columns = [
    'ssn_token', 'medical_record_number_token', 'family_name_token', 'given_name_token', 'birth_text',
    'birth_date', 'birth_precision', 'gender', 'birth_sex', 'race_code', 'ethnicity_code',
    'marital_status_code', 'city', 'state', 'postal_code', 'country', 'deceased_text', 'deceased_at',
    'deceased_date', 'deceased_precision', 'is_deceased', 'is_inactive', 'record_count', 'valid_from',
    'valid_to', 'is_deleted',
] %}

with representatives as (
    select * from {{ ref('int_patients__records') }}
    where is_representative
),

known as (
    select
        representatives.source_id,
        representatives.patient_id,
        versions.patient_key,
        {%- for column in columns %}
        versions.{{ column }},
        {%- endfor %}
        false as is_inferred
    from {{ ref('int_patients__versions') }} as versions
    inner join representatives on versions.patient_key = representatives.patient_key
),

{%- set of_nobody -%}
        {%- for column in columns %}
        {% if column in ['is_deceased', 'is_inactive', 'is_deleted'] %}false
        {%- elif column == 'record_count' %}0
        {%- elif column == 'valid_from' %}{{ beginning_of_time() }}
        {%- elif column == 'valid_to' %}{{ end_of_time() }}
        {%- else %}null{% endif %},
        {%- endfor %}
{%- endset %}

keyed as (
    select
        {{ surrogate_key(["'patient'", 'patient_key', 'valid_from']) }} as patient_version_key,
        *
    from known
    union all
    select
        {{ surrogate_key(["'patient'", 'patient_key', beginning_of_time()]) }},
        source_id,
        patient_id,
        patient_key,
        {{- of_nobody }}
        true
    from representatives
    where is_inferred
    union all
    select
        {{ unknown_key() }},
        'granary',
        'unknown',
        {{ unknown_key() }},
        {{- of_nobody }}
        false
)

select
    patient_version_key,
    patient_key,
    {{ surrogate_key(["'source'", 'source_id']) }} as source_key,
    cast(patient_id as {{ dbt.type_string() }}) as patient_id,
    ssn_token,
    medical_record_number_token,
    family_name_token,
    given_name_token,
    birth_text,
    birth_date,
    birth_precision,
    gender,
    birth_sex,
    race_code,
    ethnicity_code,
    marital_status_code,
    city,
    state,
    postal_code,
    country,
    deceased_text,
    deceased_at,
    deceased_date,
    deceased_precision,
    is_deceased,
    is_inactive,
    cast(record_count as bigint) as record_count,
    valid_from,
    valid_to,
    valid_to = {{ end_of_time() }} as is_current,
    is_deleted,
    is_inferred
from keyed
