{# Keys that several models make. #}
{% macro lab_order_key() -%}{{ surrogate_key(["'lab_order'", 'order_assigner', 'order_id']) }}{%- endmacro %}

{#  The versions of laboratories' results, as a subquery: an analyte of an order, from one message about it to the next that
    says something else.

    - A message tells of an analyte anew, all of it: what the next one leaves out holds no longer. It may tell of it several
      times without a sub-id, such as a report line by line: which is which, their order says, never a set id.
    - Messages hold in the order of their own times; those of one time in that of statuses, and then of what they say. When
      and in which file they came decides nothing.
    - A result that becomes final without being told again (status U) keeps what was told last.
    - Of a final result that says something else than the final one before, or calls itself corrected, it is a correction.
      Versions of one instant count as corrections, though only the last of them holds.

    `only` is a condition on the results (aliased `results`); it must hold for all of an order or for none. #}
{% macro lab_result_versions(only=none) -%}
    {%- set value = ['value_list', 'value_number', 'value_comparator', 'value_second_number', 'value_text', 'value_code',
        'value_code_system', 'unit_code'] -%}
    {%- set about = ['reference_range', 'abnormal_flag'] -%}
    {%- set kept = ['analyte_key', 'occurrence_number', 'message_rank', 'superseded_at', 'order_id', 'order_assigner',
        'filler_order_id', 'placer_order_id', 'message_id', 'patient_number', 'order_number', 'observation_code',
        'observation_name', 'observation_system', 'loinc_code', 'observation_sub_id', 'status_code', 'result_status',
        'is_final', 'is_withdrawn', 'value_type', 'reported_at', 'valid_at'] -%}
    {%- set of_result = 'partition by analyte_key, occurrence_number' -%}
(
with reported as (
    select
        results.*,
        {{ surrogate_key(["'analyte'", 'results.order_assigner', 'results.order_id',
            "coalesce(results.observation_system, '')", "coalesce(results.observation_code, '')",
            "coalesce(results.observation_sub_id, '')"]) }} as analyte_key,
        coalesce(statuses.result_status, 'unknown') as result_status,
        coalesce(statuses.status_rank, 0) as status_rank,
        coalesce(statuses.is_final, false) as is_final,
        coalesce(statuses.is_withdrawn, false) as is_withdrawn
    from {{ ref('stg_lab__results') }} as results
    left join {{ ref('lab_result_statuses') }} as statuses on results.status_code = statuses.status_code
    where
        results.belongs_to = 'order' and results.message_type in ('ORU', 'OUL') {{ 'and ' ~ only if only }}
),

counted as (
    select
        *,
        row_number() over (partition by analyte_key, message_id order by segment_number) as occurrence_number,
        max(status_rank) over (partition by analyte_key, message_id) as message_status_rank
    from reported
),

ranked as (
    select
        *,
        dense_rank() over (
            partition by analyte_key
            order by valid_at, message_status_rank, coalesce(reported_at, valid_at), {{ binary_order('message_id') }}
        ) as message_rank
    from counted
),

followed as (
    select
        *,
        min(valid_at) over (
            partition by analyte_key order by message_rank range between 1 following and 1 following
        ) as superseded_at,
        sum(case when status_code = 'U' and value_list is null then 0 else 1 end) over (
            {{ of_result }} order by message_rank
        ) as told_number
    from ranked
),

told as (
    select
        {{ kept | join(', ') }},
        {%- for column in value + about %}
        max({{ column }}) over ({{ of_result }}, told_number) as {{ column }},
        {%- endfor %}
        coalesce(measured_at, collected_at) as observed_at,
        coalesce(measured_date, collected_date) as observed_date,
        coalesce(measured_precision, collected_precision) as observed_precision
    from followed
),

hashed as (
    select
        told.*,
        patients.patient_source_id,
        {{ row_hash(value) }} as value_hash,
        {{ row_hash(value + about + ['result_status', 'told.observed_at', 'patients.patient_source_id']) }} as content_hash
    from told
    left join {{ ref('stg_lab__patients') }} as patients
        on told.message_id = patients.message_id and told.patient_number = patients.patient_number
),

compared as (
    select
        *,
        coalesce(
            lag(content_hash) over result = content_hash and lag(message_rank) over result = message_rank - 1, false
        ) as goes_on
    from hashed
    window result as ({{ of_result }} order by message_rank)
),

numbered as (
    select
        *,
        sum(case when goes_on then 0 else 1 end) over ({{ of_result }} order by message_rank) as version_number
    from compared
),

ended as (
    select
        *,
        max(coalesce(superseded_at, {{ end_of_time() }})) over ({{ of_result }}, version_number) as valid_to
    from numbered
),

begun as (
    select
        *,
        sum(case when is_final then 1 else 0 end) over ({{ of_result }} order by version_number) as final_number
    from ended
    where not goes_on
),

settled as (
    select
        *,
        max(case when is_final then value_hash end) over ({{ of_result }}, final_number) as final_hash
    from begun
),

judged as (
    select
        *,
        is_final and (
            result_status = 'corrected'
            or coalesce(lag(final_hash) over ({{ of_result }} order by version_number) <> value_hash, false)
        ) as is_correction_of_final
    from settled
),

corrected as (
    select
        *,
        sum(case when is_correction_of_final then 1 else 0 end) over (
            {{ of_result }} order by version_number
        ) as correction_count
    from judged
)

select
    *,
    {{ lab_order_key() }} as lab_order_key,
    {{ surrogate_key(['analyte_key', 'occurrence_number']) }} as lab_result_key
from corrected
where valid_at < valid_to
)
{%- endmacro %}
