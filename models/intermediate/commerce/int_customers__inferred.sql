{{ config(materialized='table', post_hook=list_of_keys()) }}

select user_id
from {{ ref('stg_shop__orders') }}
where user_id is not null
except
select user_id from {{ ref('snap_shop__users') }}
