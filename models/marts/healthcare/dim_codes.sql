-- noqa: disable=LT02
{{ config(indexes=[{'columns': ['code_key']}, {'columns': ['code']}]) }}
{#- Each fact or dimension, the columns of codes in it by their stems, and whether its rows are patients' records. -#}
{%- set coded = [
    ('fct_conditions', ['condition'], true),
    ('fct_procedures', ['procedure'], true),
    ('fct_medication_requests', ['medication'], true),
    ('fct_immunizations', ['vaccine'], true),
    ('fct_encounters', ['type', 'reason'], true),
    ('fct_observations', ['observation', 'value'], true),
    ('dim_practitioners', ['specialty'], false),
    ('dim_facilities', ['type'], false),
    ('dim_devices', ['type'], false),
] %}

with carried as (
    {%- for relation, stems, is_of_patients in coded %}
    {%- set loop_of_relations = loop %}
    {%- for stem in stems %}
    select
        coalesce({{ stem }}_system, '') as code_system,
        {{ stem }}_code as code,
        {{ stem }}_display as code_display,
        count(*) as record_count,
        {%- if is_of_patients %}
        min(cast(patient_key as {{ dbt.type_string() }})) as least_patient,
        max(cast(patient_key as {{ dbt.type_string() }})) as greatest_patient
        {%- else %}
        'one' as least_patient,
        'other' as greatest_patient
        {%- endif %}
    from {{ ref(relation) }}
    where {{ stem }}_code is not null
    group by {{ stem }}_system, {{ stem }}_code, {{ stem }}_display
    {{ 'union all' if not (loop.last and loop_of_relations.last) }}
    {%- endfor %}
    {%- endfor %}
),

displays as (
    select
        code_system,
        code,
        code_display,
        sum(record_count) as record_count,
        min(least_patient) < max(greatest_patient) as is_of_several
    from carried
    group by code_system, code, code_display
),

-- A display is what a record says. What the records of one patient alone say may be of that patient.
ranked as (
    select
        *,
        sum(record_count) over (partition by code_system, code) as code_record_count,
        row_number() over (
            partition by code_system, code
            order by
                case when is_of_several and code_display is not null then 0 else 1 end,
                record_count desc, {{ binary_order('code_display') }}
        ) as place
    from displays
),

codes as (
    select
        code_system,
        code,
        case when is_of_several then code_display end as code_display,
        code_record_count as record_count
    from ranked
    where place = 1
),

judged as (
    select
        {{ code_key('codes.code_system', 'codes.code') }} as code_key,
        codes.code_system,
        codes.code,
        codes.code_display,
        codes.code_system = {{ loinc() }} as is_loinc,
        codes.code_system = {{ loinc() }}
            and coalesce({{ loinc_digit_is_right('codes.code') }}, false) as is_valid_loinc,
        codes.code_system = {{ ucum() }} as is_ucum,
        codes.code_system = {{ ucum() }} and units.unit_code is not null as is_known_ucum,
        codes.record_count
    from codes
    left join {{ ref('ucum_units') }} as units on {{ ucum_unit('codes.code') }} = units.unit_code
    {%- for member, key in {'unknown': unknown_key(), 'not applicable': not_applicable_key()}.items() %}
    union all
    select {{ key }}, '', '{{ member }}', '{{ member }}', false, false, false, false, 0
    {%- endfor %}
)

select
    code_key,
    cast(code_system as {{ dbt.type_string() }}) as code_system,
    cast(code as {{ dbt.type_string() }}) as code,
    code_display,
    is_loinc,
    is_valid_loinc,
    is_ucum,
    is_known_ucum,
    (is_loinc and not is_valid_loinc) or (is_ucum and not is_known_ucum) as is_doubtful,
    cast(record_count as bigint) as record_count
from judged
