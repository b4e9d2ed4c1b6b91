-- noqa: disable=LT02
{{ config(
    pre_hook="{{ refuse_older_list('int_patients__records') }}",
    indexes=[{'columns': ['device_key']}, {'columns': ['device_version_key']}, {'columns': ['patient_key']}],
) }}
{%- set texts = [
    'serial_number_token', 'device_identifier_token', 'status', 'manufacturer', 'device_name', 'model_number',
    'type_code', 'type_system', 'type_display',
] %}

with versions as (
    select
        versions.*,
        owners.facility_id
    from {{ ref('int_devices__versions') }} as versions
    left join {{ ref('int_facilities__references') }} as owners
        on versions.owner_reference_key = owners.reference_key and owners.facility_kind = 'organization'
),

keyed as (
    select
        {{ care_key('device', 'device_id') }} as device_key,
        {{ surrogate_key(["'device'", "'fhir'", 'device_id', 'valid_from']) }} as device_version_key,
        {{ surrogate_key(["'source'", "'fhir'"]) }} as source_key,
        patient_key,
        {{ named_key(facility_key("'organization'", 'facility_id'), 'owner_reference_key') }} as facility_key,
        device_id,
        {{ texts | join(', ') }},
        valid_from,
        valid_to,
        is_deleted
    from versions
    {%- for member, key in {'unknown': unknown_key(), 'not applicable': not_applicable_key()}.items() %}
    union all
    select
        {{ key }},
        {{ key }},
        {{ surrogate_key(["'source'", "'granary'"]) }},
        {{ unknown_key() }},
        {{ key }},
        '{{ member }}',
        {% for column in texts %}null, {% endfor %}
        {{ beginning_of_time() }},
        {{ end_of_time() }},
        false
    {%- endfor %}
)

select
    device_version_key,
    device_key,
    source_key,
    patient_key,
    facility_key,
    cast(device_id as {{ dbt.type_string() }}) as device_id,
    serial_number_token,
    device_identifier_token,
    status as device_status,
    manufacturer,
    device_name,
    model_number,
    type_code,
    type_system,
    type_display,
    valid_from,
    valid_to,
    valid_to = {{ end_of_time() }} as is_current,
    is_deleted
from keyed
