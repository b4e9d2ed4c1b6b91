-- noqa: disable=LT02
{{ config(materialized='table', post_hook=list_of_keys()) }}

with named as (
    {%- for name in records_of_care() %}
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
