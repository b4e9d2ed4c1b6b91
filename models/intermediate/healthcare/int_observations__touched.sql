{{ config(materialized='table', post_hook=list_of_keys()) }}

{{ touched_resources('observations', 'observation', 'fct_observations') }}
