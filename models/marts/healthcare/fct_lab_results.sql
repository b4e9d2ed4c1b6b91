{{ config(
    materialized='incremental',
    incremental_strategy='touched_keys',
    unique_key='lab_order_key',
    pre_hook="{{ remember_touched(ref('int_lab_orders__touched'), 'int_lab_orders__touched') }}",
    indexes=[
        {'columns': ['lab_result_state_key'], 'unique': true},
        {'columns': ['lab_order_key']},
        {'columns': ['patient_source_id']},
        {'columns': ['patient_key']},
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
    {{ surrogate_key(['versions.lab_result_key', 'versions.valid_at']) }} as lab_result_state_key,
    versions.lab_result_key,
    versions.lab_order_key,
    {{ surrogate_key(["'source'", "'lab'"]) }} as source_key,
    coalesce(patients.patient_key, {{ unknown_key() }}) as patient_key,
    coalesce(patients.patient_version_key, {{ unknown_key() }}) as patient_version_key,
    cast(versions.patient_source_id as {{ dbt.type_string() }}) as patient_source_id,
    cast(versions.filler_order_id as {{ dbt.type_string() }}) as filler_order_id,
    cast(versions.placer_order_id as {{ dbt.type_string() }}) as placer_order_id,
    cast(versions.message_id as {{ dbt.type_string() }}) as message_id,
    cast(messages.control_id as {{ dbt.type_string() }}) as message_control_id,
    cast(specimens.specimen_id as {{ dbt.type_string() }}) as specimen_id,
    cast(specimens.specimen_type_code as {{ dbt.type_string() }}) as specimen_type_code,
    cast(orders.service_code as {{ dbt.type_string() }}) as service_code,
    cast(orders.service_name as {{ dbt.type_string() }}) as service_name,
    cast(versions.observation_code as {{ dbt.type_string() }}) as analyte_code,
    cast(versions.observation_name as {{ dbt.type_string() }}) as analyte_name,
    cast(versions.observation_system as {{ dbt.type_string() }}) as analyte_system,
    cast(versions.loinc_code as {{ dbt.type_string() }}) as loinc_code,
    cast(versions.observation_sub_id as {{ dbt.type_string() }}) as analyte_sub_id,
    cast(versions.occurrence_number as bigint) as occurrence_number,
    cast(versions.status_code as {{ dbt.type_string() }}) as result_status_code,
    cast(versions.result_status as {{ dbt.type_string() }}) as result_status,
    cast(versions.value_type as {{ dbt.type_string() }}) as value_type,
    cast(versions.value_number as numeric(28, 8)) as value_number,
    cast(versions.value_comparator as {{ dbt.type_string() }}) as value_comparator,
    cast(versions.value_second_number as numeric(28, 8)) as value_second_number,
    cast(versions.value_text as {{ dbt.type_string() }}) as value_text,
    cast(versions.value_list as {{ dbt.type_string() }}) as value_list,
    cast(versions.value_code as {{ dbt.type_string() }}) as value_code,
    cast(versions.value_code_system as {{ dbt.type_string() }}) as value_code_system,
    cast(versions.unit_code as {{ dbt.type_string() }}) as unit_code,
    cast(versions.reference_range as {{ dbt.type_string() }}) as reference_range,
    cast(versions.abnormal_flag as {{ dbt.type_string() }}) as abnormal_flag,
    versions.is_final,
    versions.is_correction_of_final,
    cast(versions.correction_count as bigint) as correction_count,
    case
        when
            versions.observed_date between cast('{{ var("calendar").earliest }}' as date)
            and cast('{{ var("calendar").latest }}' as date)
            then versions.observed_date
    end as observed_date,
    versions.observed_at,
    cast(versions.observed_precision as {{ dbt.type_string() }}) as observed_precision,
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
left join {{ ref('int_patients__records') }} as persons
    on versions.patient_source_id = persons.patient_id and persons.source_id = 'lab'
left join {{ ref('dim_patients') }} as patients
    on
        persons.patient_key = patients.patient_key
        and coalesce(versions.observed_at, versions.valid_at) >= patients.valid_from
        and coalesce(versions.observed_at, versions.valid_at) < patients.valid_to
