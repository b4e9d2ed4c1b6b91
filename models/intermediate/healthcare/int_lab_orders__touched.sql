{{ config(materialized='table', post_hook=list_of_keys()) }}
-- Orders of laboratories whose results in the fact may no longer hold: a message about them is new, or a part of one,
-- or the patient may be another person now.
with new_loads as (
    {{ loads_new_to(['fct_lab_results']) }}
),

touched_patients as (
    select patient_id from {{ ref('int_patients__touched') }}
    where source_id = 'lab'
),

new_messages as (
    select message_id from {{ ref('stg_lab__results') }}
    where {{ is_one_of('load_id', 'select new_loads.load_id from new_loads') }}
    union
    select message_id from {{ ref('stg_lab__orders') }}
    where {{ is_one_of('load_id', 'select new_loads.load_id from new_loads') }}
    union
    select message_id from {{ ref('stg_lab__patients') }}
    where {{ is_one_of('load_id', 'select new_loads.load_id from new_loads') }}
    union
    select message_id from {{ ref('stg_lab__specimens') }}
    where {{ is_one_of('load_id', 'select new_loads.load_id from new_loads') }}
    union
    select message_id from {{ ref('stg_lab__patients') }}
    where patient_source_id in (select touched_patients.patient_id from touched_patients)
),

all_changes as (
    select
        order_id,
        order_assigner
    from {{ ref('stg_lab__results') }}
    where message_id in (select new_messages.message_id from new_messages)
    {%- if within_backfill('valid_at') %}
    union all
    select
        order_id,
        order_assigner
    from {{ ref('stg_lab__results') }}
    where {{ within_backfill(business_date('valid_at')) }}
    {%- endif %}
)

select
    order_id,
    order_assigner,
    {{ lab_order_key() }} as lab_order_key
from all_changes
where order_id is not null
group by order_id, order_assigner
