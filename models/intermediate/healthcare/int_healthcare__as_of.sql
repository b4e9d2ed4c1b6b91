-- noqa: disable=LT02
{{ config(materialized='table') }}

with latest as (
    {%- for name in ['stg_fhir__patients'] + records_of_care() + ['stg_lab__messages'] %}
    select max(valid_at) as valid_at from {{ ref(name) }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select
    max(valid_at) as as_of_at,
    {{ business_date('max(valid_at)') }} as as_of_date
from latest
