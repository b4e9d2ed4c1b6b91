{{ config(materialized='table', post_hook=list_of_keys()) }}

{{ touched_resources('procedures', 'procedure', 'fct_procedures', facility='location') }}
