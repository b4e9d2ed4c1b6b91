-- Each analyte that a message tells of an order is in the fact, under the order that it was told of, and no other is.
{{ config(meta={'quality_dimension': 'completeness'}) }}
with told as (
    select
        order_id,
        order_assigner,
        coalesce(observation_code, '') as analyte_code
    from {{ ref('stg_lab__results') }}
    where belongs_to = 'order' and message_type in ('ORU', 'OUL')
    group by order_id, order_assigner, coalesce(observation_code, '')
),

keyed as (
    select
        {{ lab_order_key() }} as lab_order_key,
        analyte_code
    from told
),

shown as (
    select
        lab_order_key,
        coalesce(analyte_code, '') as analyte_code
    from {{ ref('fct_lab_results') }}
    group by lab_order_key, coalesce(analyte_code, '')
)

select
    keyed.lab_order_key as told_order_key,
    shown.lab_order_key as shown_order_key,
    coalesce(keyed.analyte_code, shown.analyte_code) as analyte_code
from keyed
full outer join shown on keyed.lab_order_key = shown.lab_order_key and keyed.analyte_code = shown.analyte_code
where keyed.lab_order_key is null or shown.lab_order_key is null
