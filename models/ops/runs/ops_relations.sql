with results as (
    select * from {{ source('runs', 'results') }}
    where resource_type not in ('test', 'unit_test')
),

row_counts as (
    select * from {{ source('runs', 'row_counts') }}
),

relations as (
    select
        run_id,
        node_name as relation_name
    from results
    union
    select
        run_id,
        relation_name
    from row_counts
)

select
    relations.run_id,
    runs.started_at,
    relations.relation_name,
    results.resource_type,
    results.status,
    results.seconds as duration_seconds,
    row_counts.row_count
from relations
inner join {{ ref('ops_runs') }} as runs on relations.run_id = runs.run_id
left join results on relations.run_id = results.run_id and relations.relation_name = results.node_name
left join row_counts on relations.run_id = row_counts.run_id and relations.relation_name = row_counts.relation_name
