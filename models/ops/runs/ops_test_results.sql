select
    results.run_id,
    runs.started_at,
    results.node_name as test_name,
    results.tested_name,
    results.column_name,
    results.quality_dimension,
    results.severity,
    results.source_ids,
    results.status = 'pass' as is_passed,
    results.status,
    results.failure_count,
    results.seconds as duration_seconds
from {{ source('runs', 'results') }} as results
inner join {{ ref('ops_runs') }} as runs on results.run_id = runs.run_id
where results.resource_type in ('test', 'unit_test')
