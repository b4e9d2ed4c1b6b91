{{ config(indexes=[{'columns': ['reading_key'], 'unique': true}, {'columns': ['device_key']}]) }}

with readings as (
    select * from {{ ref('fct_observations') }}
    where device_key is not null and value_number is not null
),

devices as (
    select * from {{ ref('dim_devices') }}
)

select
    readings.observation_part_key as reading_key,
    readings.source_key,
    coalesce(devices.device_key, {{ unknown_key() }}) as device_key,
    coalesce(devices.device_version_key, {{ unknown_key() }}) as device_version_key,
    readings.patient_key,
    readings.patient_version_key,
    -- Who wore it then, by the device's own record; the observation may name somebody else.
    coalesce(devices.patient_key, {{ unknown_key() }}) as wearer_patient_key,
    readings.code_key,
    coalesce(
        devices.patient_key <> readings.patient_key
        and {{ unknown_key() }} not in (devices.patient_key, readings.patient_key),
        false
    ) as is_of_another,
    readings.is_entered_in_error,
    readings.value_number,
    readings.value_comparator,
    readings.unit_code,
    readings.canonical_value_number,
    readings.canonical_unit_code,
    readings.event_date,
    readings.event_at
from readings
left join devices
    on
        readings.device_key = devices.device_key
        and readings.event_at >= devices.valid_from
        and readings.event_at < devices.valid_to
