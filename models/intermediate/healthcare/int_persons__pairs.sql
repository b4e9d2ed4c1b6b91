with versions as (
    select
        left_source_id,
        left_patient_id,
        right_source_id,
        right_patient_id,
        verdict,
        is_deleted,
        valid_at as valid_from,
        lead(valid_at, 1, {{ end_of_time() }}) over (
            partition by left_source_id, left_patient_id, right_source_id, right_patient_id, verdict
            order by valid_at, source_revision, observed_at
        ) as valid_to
    from {{ ref('stg_patient_matches__pairs') }}
)

select
    left_source_id,
    left_patient_id,
    right_source_id,
    right_patient_id,
    verdict,
    valid_from,
    valid_to
from versions
where not is_deleted and valid_from < valid_to
