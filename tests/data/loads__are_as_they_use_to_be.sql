-- What the last day's loads brought is within what the days before let expect.
{{ config(severity='warn', meta={'quality_dimension': 'timeliness'}) }}

select
    check_name,
    source_id,
    resource_name,
    column_name,
    observed_date,
    observed_value,
    lowest_expected_value,
    highest_expected_value
from {{ ref('ops_anomalies') }}
where is_anomalous and is_latest
