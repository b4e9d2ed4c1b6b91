{{ config(materialized='table', post_hook=list_of_keys()) }}
-- Came before anybody told who they are.
select member_id
from {{ ref('stg_club__visits') }}
where member_id is not null
except
select member_id from {{ ref('snap_club__members') }}
