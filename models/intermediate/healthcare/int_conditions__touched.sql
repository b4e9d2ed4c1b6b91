{{ config(materialized='table', post_hook=list_of_keys()) }}

{{ touched_resources('conditions', 'condition', 'fct_conditions', practitioner='recorder') }}
