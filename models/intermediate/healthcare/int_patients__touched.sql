{{ config(materialized='table', post_hook=list_of_keys()) }}
-- Whose person or versions may differ from those that the facts were joined to.
with recursive new_loads as (
    {{ loads_new_to(facts_of_patients()) }}
),

new_records as (
    select
        source_id,
        patient_id
    from {{ ref('int_patients__told') }}
    where {{ is_one_of('load_id', 'select new_loads.load_id from new_loads') }}
    group by source_id, patient_id
),

versions as (
    select
        told.source_id,
        told.patient_id,
        told.content_hash,
        told.valid_at,
        told.load_id in (select new_loads.load_id from new_loads) as is_new
    from {{ ref('int_patients__told') }} as told
    inner join new_records on told.source_id = new_records.source_id and told.patient_id = new_records.patient_id
),

-- A record that is told again as it always was, such as by each message of a laboratory, is the same.
changed as (
    select
        source_id,
        patient_id
    from versions
    group by source_id, patient_id
    having
        min(content_hash) < max(content_hash)
        or min(case when is_new then valid_at end) = min(valid_at)
),

-- Every version counts: what a record was joined by before may be what it is joined by no more.
every_key as (
    {{ person_keys(ref('int_patients__told')) }}
),

keyed as (
    select
        source_id,
        patient_id,
        shared_key
    from every_key
    group by source_id, patient_id, shared_key
),

shared_keys as (
    select shared_key from keyed
    group by shared_key
    having count(*) > 1
),

-- A record is a node, and so is what several records share.
edges as (
    select
        {{ surrogate_key(["'record'", 'keyed.source_id', 'keyed.patient_id']) }} as here,
        keyed.shared_key as there
    from keyed
    inner join shared_keys on keyed.shared_key = shared_keys.shared_key
    union
    select
        {{ surrogate_key(["'record'", 'left_source_id', 'left_patient_id']) }},
        {{ surrogate_key(["'record'", 'right_source_id', 'right_patient_id']) }}
    from {{ ref('stg_patient_matches__pairs') }}
),

both_ways as (
    select here, there from edges
    union
    select there, here from edges
),

seeds as (
    select {{ surrogate_key(["'record'", 'source_id', 'patient_id']) }} as node from changed
    union
    select {{ surrogate_key(["'record'", 'left_source_id', 'left_patient_id']) }}
    from {{ ref('stg_patient_matches__pairs') }}
    where {{ is_one_of('load_id', 'select new_loads.load_id from new_loads') }}
),

reached as (
    select both_ways.here as node
    from both_ways
    inner join seeds on both_ways.here = seeds.node
    union
    select both_ways.there
    from reached
    inner join both_ways on reached.node = both_ways.here
)

select
    source_id,
    patient_id
from changed
union
-- Who shares nothing with anybody was the same person all along; of the others all may have become somebody else.
select
    records.source_id,
    records.patient_id
from {{ ref('int_patients__records') }} as records
inner join reached
    on {{ surrogate_key(["'record'", 'records.source_id', 'records.patient_id']) }} = reached.node
