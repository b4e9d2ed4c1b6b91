{{ config(materialized='table') }}

{{ person_identities(ref('int_persons__records'), ref('int_persons__pairs')) }}
