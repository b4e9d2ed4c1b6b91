select
    steps.run_id,
    runs.started_at,
    steps.step_name,
    steps.seconds as duration_seconds
from {{ source('runs', 'steps') }} as steps
inner join {{ ref('ops_runs') }} as runs on steps.run_id = runs.run_id
