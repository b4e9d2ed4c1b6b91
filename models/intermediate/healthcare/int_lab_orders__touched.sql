{{ config(materialized='table', post_hook=list_of_keys()) }}
-- Orders of laboratories whose results in the fact may no longer hold: a message about them is new, or a part of one.
with new_loads as (
    {{ loads_new_to(['fct_lab_results']) }}
),

new_messages as (
    select message_id from {{ ref('stg_lab__results') }}
    where load_id in (select new_loads.load_id from new_loads)
    union
    select message_id from {{ ref('stg_lab__orders') }}
    where load_id in (select new_loads.load_id from new_loads)
    union
    select message_id from {{ ref('stg_lab__patients') }}
    where load_id in (select new_loads.load_id from new_loads)
    union
    select message_id from {{ ref('stg_lab__specimens') }}
    where load_id in (select new_loads.load_id from new_loads)
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
