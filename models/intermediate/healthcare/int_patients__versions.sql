-- noqa: disable=LT02
{% set fields = [
    'ssn_token', 'medical_record_number_token', 'marital_status_code', 'race_code', 'ethnicity_code', 'birth_sex',
    'gender',
] -%}
{%- set fields_of = {
    'name': ['family_name_token', 'given_name_token'],
    'birth': ['birth_text', 'birth_date', 'birth_precision'],
    'address': ['city', 'state', 'postal_code', 'country'],
    'death': ['deceased_text', 'deceased_at', 'deceased_date', 'deceased_precision'],
} -%}
{%- set tracked = fields + fields_of.values() | sum(start=[])
    + ['is_deceased', 'record_count', 'is_inactive', 'is_deleted'] %}

with first_versions as (
    select
        source_id,
        patient_id,
        min(valid_at) as known_from
    from {{ ref('int_patients__told') }}
    group by source_id, patient_id
),

versions as (
    select
        'fhir' as source_id,
        patient_id,
        {{ (fields + fields_of.values() | sum(start=[])) | join(', ') }},
        is_deceased,
        is_inactive,
        is_deleted,
        valid_from,
        valid_to
    from {{ ref('snap_fhir__patients') }}
    union all
    select
        'lab',
        patients.patient_source_id,
        patients.ssn_token,
        patients.medical_record_number_token,
        null,
        patients.race_code,
        patients.ethnicity_code,
        null,
        sexes.gender,
        patients.family_name_token,
        patients.given_name_token,
        {{ day_as_told('patients.birth_date', 'patients.birth_precision') }},
        case when patients.birth_precision not in ('year', 'month') then patients.birth_date end,
        patients.birth_precision,
        patients.city,
        patients.state,
        patients.postal_code,
        patients.country,
        {{ day_as_told('patients.deceased_date', 'patients.deceased_precision') }},
        case when patients.deceased_precision not in ('year', 'month') then patients.deceased_at end,
        case when patients.deceased_precision not in ('year', 'month') then patients.deceased_date end,
        patients.deceased_precision,
        patients.is_deceased,
        false,
        patients.is_deleted,
        patients.valid_from,
        patients.valid_to
    from {{ ref('snap_lab__patients') }} as patients
    left join {{ ref('lab_sexes') }} as sexes on patients.sex_code = sexes.sex_code
),

records as (
    select
        persons.patient_key,
        persons.is_representative,
        first_versions.known_from,
        min(first_versions.known_from) over (partition by persons.patient_key) as person_known_from,
        versions.*
    from versions
    inner join {{ ref('int_patients__records') }} as persons
        on versions.source_id = persons.source_id and versions.patient_id = persons.patient_id
    inner join first_versions
        on versions.source_id = first_versions.source_id and versions.patient_id = first_versions.patient_id
),

-- What comes later says nothing about the time before it was written down; a person's first record reaches back.
intervals as (
    select
        records.*,
        case
            when records.valid_from = {{ beginning_of_time() }} and records.known_from > records.person_known_from
                then records.known_from
            else records.valid_from
        end as holds_from
    from records
),

instants as (
    select
        patient_key,
        holds_from as valid_from
    from intervals
    group by patient_key, holds_from
),

-- Of a person's records one leads at each instant, and the others fill what it lacks, group by group of what belongs
-- together: a town is never that of one record with the postal code of another.
ranked as (
    select
        instants.valid_from as instant,
        intervals.*,
        row_number() over (
            partition by intervals.patient_key, instants.valid_from
            order by
                intervals.is_deleted, coalesce(intervals.is_inactive, false), intervals.is_representative desc,
                {{ binary_order('intervals.source_id') }}, {{ binary_order('intervals.patient_id') }}
        ) as place
    from instants
    inner join intervals
        on
            instants.patient_key = intervals.patient_key
            and instants.valid_from >= intervals.holds_from
            and instants.valid_from < intervals.valid_to
),

places as (
    select
        ranked.*,
        {%- for name, columns in fields_of.items() %}
        min(
            case
                when
                    {%- for column in columns %}
                    ranked.{{ column }} is not null{{ ' or' if not loop.last }}
                    {%- endfor %}
                    then ranked.place
            end
        ) over (partition by ranked.patient_key, ranked.instant) as {{ name }}_place{{ ',' if not loop.last }}
        {%- endfor %}
    from ranked
),

states as (
    select
        patient_key,
        instant as valid_from,
        {%- for column in fields %}
        {{ first_known(column, 'place') }} as {{ column }},
        {%- endfor %}
        {%- for name, columns in fields_of.items() %}
        {%- for column in columns %}
        max(case when place = {{ name }}_place then {{ column }} end) as {{ column }},
        {%- endfor %}
        {%- endfor %}
        max(case when is_deceased then 1 else 0 end) = 1 as is_deceased,
        sum(case when is_deleted then 0 else 1 end) as record_count,
        min(case when is_inactive then 1 else 0 end) = 1 as is_inactive,
        min(case when is_deleted then 1 else 0 end) = 1 as is_deleted
    from places
    group by patient_key, instant
)

{{ merged_neighbours('states', 'patient_key', tracked) }}
