-- A result's versions end after they begin, don't overlap, and only its last may be open; corrections are counted up.
{{ config(meta={'quality_dimension': 'consistency'}) }}
select *
from (
    select
        lab_result_key,
        valid_from,
        valid_to,
        correction_count,
        lag(valid_to) over result as previous_valid_to,
        lag(correction_count) over result as previous_correction_count
    from {{ ref('fct_lab_results') }}
    window result as (partition by lab_result_key order by valid_from)
) as versions
where
    valid_from >= valid_to
    or previous_valid_to > valid_from
    or previous_correction_count > correction_count
