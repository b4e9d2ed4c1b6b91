{# The staged records of patients' care, each of which names its patient. #}
{% macro records_of_care() -%}
    {{ return([
        'stg_fhir__encounters', 'stg_fhir__conditions', 'stg_fhir__procedures', 'stg_fhir__medication_requests',
        'stg_fhir__immunizations', 'stg_fhir__allergy_intolerances', 'stg_fhir__observations',
        'stg_fhir__diagnostic_reports', 'stg_fhir__document_references', 'stg_fhir__devices', 'stg_fhir__consents',
    ]) }}
{%- endmacro %}

{#  When what a resource tells of happened: the first of these that it says, else since when the version holds. The day is the
    local one, as written. `records` is the alias of the staged records. #}
{% macro event_times() -%}
    {{ return({
        'conditions': ['onset', 'onset_started', 'recorded'],
        'procedures': ['performed', 'performed_started'],
        'medication_requests': ['authored'],
        'immunizations': ['occurred'],
        'encounters': ['started'],
        'observations': ['effective', 'effective_started', 'effective_instant', 'issued'],
    }) }}
{%- endmacro %}

{% macro event_at(entities, records) -%}
    coalesce({% for time in event_times()[entities] %}{{ records }}.{{ time }}_at, {% endfor %}{{ records }}.valid_at)
{%- endmacro %}

{% macro event_date(entities, records) -%}
    coalesce({% for time in event_times()[entities] %}{{ records }}.{{ time }}_date, {% endfor -%}
        {{ business_date(records ~ '.valid_at') }})
{%- endmacro %}

{#  A select of the keys of resources whose rows in a fact may no longer hold, with what the fact calls them: those that have
    new versions, those of touched patients, and those that name a touched practitioner or facility and happened since.

    entities: as staging calls them. entity: the stem of their keys. fact: the fact. practitioner, facility: the stem of the
    columns that name one, such as `recorder`. facility_kind: location or organization. #}
{% macro touched_resources(entities, entity, fact, practitioner=none, facility=none, facility_kind='location') -%}
    {%- set staged = ref('stg_fhir__' ~ entities) -%}
    {%- set id = entity ~ '_id' -%}
with new_loads as (
    {{ loads_new_to([fact]) }}
),

all_changes as (
    select {{ id }}
    from {{ staged }}
    where {{ is_one_of('load_id', 'select new_loads.load_id from new_loads') }}
    union
    select {{ id }}
    from {{ staged }}
    where patient_id in (
        select patients.patient_id from {{ ref('int_patients__touched') }} as patients
        where patients.source_id = 'fhir'
    )
    {%- if practitioner %}
    union
    select records.{{ id }}
    from {{ staged }} as records
    inner join {{ ref('int_practitioners__touched') }} as practitioners
        on
            {{ named_by_reference('records.' ~ practitioner ~ '_id', 'records.' ~ practitioner ~ '_reference') }}
            = practitioners.reference_key
    where {{ event_at(entities, 'records') }} >= practitioners.changed_from
    {%- endif %}
    {%- if facility %}
    union
    select records.{{ id }}
    from {{ staged }} as records
    inner join {{ ref('int_facilities__touched') }} as facilities
        on
            {{ named_by_reference('records.' ~ facility ~ '_id', 'records.' ~ facility ~ '_reference') }}
            = facilities.reference_key
            and facilities.facility_kind = '{{ facility_kind }}'
    where {{ event_at(entities, 'records') }} >= facilities.changed_from
    {%- endif %}
    {%- if within_backfill('valid_at') %}
    union
    select records.{{ id }}
    from {{ staged }} as records
    where {{ within_backfill(event_date(entities, 'records')) }}
    {%- endif %}
)

select
    {{ id }},
    {{ care_key(entity, id) }} as {{ entity }}_key
from all_changes
{%- endmacro %}
