{{ config(
    materialized='incremental',
    incremental_strategy='touched_keys',
    unique_key='lab_order_key',
    pre_hook="{{ remember_touched(ref('int_lab_orders__touched')) }}",
    indexes=[
        {'columns': ['lab_result_version_key'], 'unique': true},
        {'columns': ['lab_order_key']},
        {'columns': ['patient_source_id']},
        {'columns': ['observed_date']},
    ],
) }}
-- depends_on: {{ ref('int_lab_orders__touched') }}
{%- set touched = has_touched_key('results', ['order_id', 'order_assigner']) if is_incremental() else none %}

with versions as (
    select * from {{ lab_result_versions(touched) }} as every_version
),

orders as (
    select * from {{ ref('stg_lab__orders') }}
),

messages as (
    select * from {{ ref('stg_lab__messages') }}
),

specimens as (
    select
        *,
        row_number() over (partition by message_id, order_number order by specimen_number) as place
    from {{ ref('stg_lab__specimens') }}
)

select
    {{ surrogate_key(['versions.lab_result_key', 'versions.valid_at']) }} as lab_result_version_key,
    versions.lab_result_key,
    versions.lab_order_key,
    {{ surrogate_key(["'source'", "'lab'"]) }} as source_key,
    versions.patient_source_id,
    versions.filler_order_id,
    versions.placer_order_id,
    versions.message_id,
    messages.control_id as message_control_id,
    specimens.specimen_id,
    specimens.specimen_type_code,
    orders.service_code,
    orders.service_name,
    versions.observation_code as analyte_code,
    versions.observation_name as analyte_name,
    versions.observation_system as analyte_system,
    versions.loinc_code,
    versions.observation_sub_id as analyte_sub_id,
    cast(versions.occurrence_number as bigint) as occurrence_number,
    versions.status_code as result_status_code,
    versions.result_status,
    versions.value_type,
    cast(versions.value_number as numeric(28, 8)) as value_number,
    versions.value_comparator,
    cast(versions.value_second_number as numeric(28, 8)) as value_second_number,
    versions.value_text,
    versions.value_list,
    versions.value_code,
    versions.value_code_system,
    versions.unit_code,
    versions.reference_range,
    versions.abnormal_flag,
    versions.is_final,
    versions.is_correction_of_final,
    cast(versions.correction_count as bigint) as correction_count,
    versions.observed_date,
    versions.observed_at,
    versions.observed_precision,
    versions.reported_at,
    versions.valid_at as valid_from,
    versions.valid_to,
    versions.valid_to = {{ end_of_time() }} as is_current,
    versions.is_withdrawn as is_deleted
from versions
left join messages on versions.message_id = messages.message_id
left join orders on versions.message_id = orders.message_id and versions.order_number = orders.order_number
left join specimens
    on
        versions.message_id = specimens.message_id
        and versions.order_number = specimens.order_number
        and specimens.place = 1
