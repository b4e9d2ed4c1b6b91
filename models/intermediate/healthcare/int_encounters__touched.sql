{{ config(materialized='table', post_hook=list_of_keys()) }}

{{ touched_resources(
    'encounters', 'encounter', 'fct_encounters', facility='service_provider', facility_kind='organization'
) }}
