with users as (
    select * from {{ ref('snap_shop__users') }}
    where not is_deleted
),

accounts as (
    select * from {{ ref('snap_accounts__users') }}
    where not is_deleted
),

-- Times when a user and an account had the same address; the first such time of each pair.
meetings as (
    select
        accounts.account_id,
        users.user_id,
        min(greatest(accounts.valid_from, users.valid_from)) as matched_from
    from accounts
    inner join users
        on
            accounts.email_token = users.email_token
            and accounts.valid_from < users.valid_to
            and accounts.valid_to > users.valid_from
    group by accounts.account_id, users.user_id
),

ranked as (
    select
        account_id,
        user_id,
        matched_from,
        row_number() over (
            partition by account_id order by matched_from, {{ binary_order('user_id') }}
        ) as rank_for_account,
        row_number() over (
            partition by user_id order by matched_from, {{ binary_order('account_id') }}
        ) as rank_for_user
    from meetings
)

select
    account_id,
    user_id,
    matched_from
from ranked
where rank_for_account = 1 and rank_for_user = 1
