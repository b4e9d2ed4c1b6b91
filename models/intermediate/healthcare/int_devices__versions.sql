{%- set tracked = [
    'patient_key', 'serial_number_token', 'device_identifier_token', 'status', 'manufacturer', 'device_name',
    'model_number', 'type_code', 'type_system', 'type_display', 'owner_reference_key', 'is_deleted',
] -%}

with states as (
    select
        devices.*,
        coalesce(persons.patient_key, {{ unknown_key() }}) as patient_key,
        {{ named_by_reference('devices.owner_id', 'devices.owner_reference') }} as owner_reference_key
    from {{ ref('snap_fhir__devices') }} as devices
    left join {{ ref('int_patients__records') }} as persons
        on devices.patient_id = persons.patient_id and persons.source_id = 'fhir'
)

{{ merged_neighbours('states', 'device_id', tracked) }}
