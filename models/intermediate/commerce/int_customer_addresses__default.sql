-- A new address holds from when it was written down, the first of a user from the beginning of time.
with addresses as (
    select
        *,
        case
            when valid_from = {{ beginning_of_time() }} then coalesce(created_at, valid_from) else valid_from
        end as known_from
    from {{ ref('snap_shop__addresses') }}
    where is_default and address_kind = 'shipping' and not is_deleted
),

-- The first is the one that was the default first, which need not be the one that was written down first.
ordered as (
    select
        *,
        row_number() over (partition by user_id order by known_from, address_id, valid_from) as user_order
    from addresses
    where known_from < valid_to
),

spans as (
    select
        user_id,
        address_id,
        city,
        postal_code,
        region,
        country_code,
        case when user_order = 1 then {{ beginning_of_time() }} else known_from end as valid_from,
        valid_to
    from ordered
),

-- Where two addresses are the default at one time, the one that became so last holds.
starts as (
    select
        user_id,
        valid_from
    from spans
    union
    select
        user_id,
        valid_to as valid_from
    from spans
),

chosen as (
    select
        starts.user_id,
        starts.valid_from,
        spans.address_id,
        spans.city,
        spans.postal_code,
        spans.region,
        spans.country_code,
        row_number() over (
            partition by starts.user_id, starts.valid_from
            order by spans.valid_from desc, spans.address_id desc
        ) as choice
    from starts
    inner join spans
        on
            starts.user_id = spans.user_id
            and starts.valid_from >= spans.valid_from
            and starts.valid_from < spans.valid_to
)

select
    user_id,
    valid_from,
    address_id,
    city,
    postal_code,
    region,
    country_code
from chosen
where choice = 1
