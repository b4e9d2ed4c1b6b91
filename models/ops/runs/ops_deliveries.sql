-- Straight from raw: what became of a delivery is written down once a run, and has no versions.
select
    run_id,
    delivery_id,
    subscription_name,
    login_name,
    recipient_number,
    message_kind,
    period_grain,
    period_first_date,
    period_last_date,
    reported_generation_number,
    status,
    status_detail,
    byte_count,
    recorded_at
from {{ source('runs', 'deliveries') }}
