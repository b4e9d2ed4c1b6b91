{{ config(materialized='table', post_hook=list_of_keys()) }}

{{ touched_resources(
    'medication_requests', 'medication_request', 'fct_medication_requests', practitioner='requester'
) }}
