{{ config(
    materialized='table',
    pre_hook="{{ link_persons(ref('int_persons__records'), ref('int_persons__pairs')) }}"
) }}

{{ person_identities(ref('int_persons__records')) }}
