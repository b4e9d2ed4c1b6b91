-- What each source brought in the period: records read, loaded, known already and rejected.
select
    source_id as source,
    resource_name as resource,
    sum(source_count) as records_read,
    sum(loaded_count) as loaded,
    sum(known_count) as known_already,
    sum(rejected_count) as rejected
from ops.ops_loads
where cast(observed_at as date) between :first_day and :last_day
group by source_id, resource_name
order by source_id, resource_name
