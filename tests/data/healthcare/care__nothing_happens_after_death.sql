-- Nothing is found in, done to, ordered for or given to a person on a day after the death, as precisely as that is
-- known. What is recorded or changed afterwards is administration, and may be.
-- A warning: either the death or the event is of another person or day, and only the clinic knows.
{{ config(severity='warn', meta={'quality_dimension': 'accuracy'}) }}

{%- set facts = {
    'fct_conditions': ('condition_id', 'onset_date'),
    'fct_procedures': ('procedure_id', 'started_date'),
    'fct_medication_requests': ('medication_request_id', 'authored_date'),
    'fct_immunizations': ('immunization_id', 'occurred_date'),
    'fct_encounters': ('encounter_id', 'started_date'),
    'fct_observations': (
        'observation_id',
        "case when not is_component and event_precision in ('day', 'second', 'millisecond') then event_date end"
    ),
} %}

with deaths as (
    select
        patient_key,
        substr(deceased_text, 1, 10) as deceased_day
    from {{ ref('dim_patients') }}
    where is_current and deceased_text is not null
),

events as (
    {%- for fact, (key, date) in facts.items() %}
    select
        '{{ fact }}' as fact_name,
        {{ key }} as record_id,
        patient_key,
        {{ date }} as event_date
    from {{ ref(fact) }}
    where not is_entered_in_error
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select
    events.fact_name,
    events.record_id,
    events.event_date,
    deaths.deceased_day
from events
inner join deaths on events.patient_key = deaths.patient_key
where substr(cast(events.event_date as {{ dbt.type_string() }}), 1, length(deaths.deceased_day)) > deaths.deceased_day
