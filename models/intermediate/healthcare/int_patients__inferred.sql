-- noqa: disable=LT02
{{ config(materialized='table', post_hook=list_of_keys()) }}

{%- set named_by = ['stg_fhir__encounters', 'stg_fhir__conditions', 'stg_fhir__procedures',
    'stg_fhir__medication_requests', 'stg_fhir__immunizations', 'stg_fhir__allergy_intolerances',
    'stg_fhir__observations', 'stg_fhir__diagnostic_reports', 'stg_fhir__document_references', 'stg_fhir__devices',
    'stg_fhir__consents'] %}

with named as (
    {%- for name in named_by %}
    select patient_id from {{ ref(name) }}
    where patient_id is not null
    {%- if not loop.last %}
    union
    {%- endif %}
    {%- endfor %}
    except
    select patient_id from {{ ref('snap_fhir__patients') }}
)

select
    'fhir' as source_id,
    patient_id
from named
