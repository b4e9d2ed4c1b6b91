{{ config(materialized='table', post_hook=list_of_keys()) }}

{{ touched_resources('immunizations', 'immunization', 'fct_immunizations', facility='location') }}
