-- Read straight from raw: a run is written down once, and has no versions.
select
    run_id,
    command as command_name,
    target as target_name,
    started_at,
    finished_at,
    outcome,
    message as failure_message,
    generation_number,
    {{ seconds_between('started_at', 'finished_at') }} as total_seconds,
    source_count,
    loaded_count,
    known_count,
    rejected_count
from {{ source('runs', 'runs') }}
