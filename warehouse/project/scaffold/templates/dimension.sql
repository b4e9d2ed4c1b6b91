{{ config(indexes=[{'columns': ['[[ dimension.entity ]]_key']}, {'columns': ['[[ dimension.entity ]]_version_key']}]) }}

with states as (
    select * from {{ ref('snap_[[ names.source ]]__[[ dimension.table.name ]]') }}
),

-- What history has and this does not show begins no version: neighbours that are equal here are one.
versions as (
    {{ merged_neighbours('states', '[[ dimension.natural_key.alias ]]', [
[% for column in dimension.columns %]
        '[[ column.alias ]]',
[% endfor %]
        'is_deleted',
    ]) }}
),

-- Referred to, and never shown by the source.
inferred as (
[% for role in roles %]
    select [[ as_named(role.column.alias, dimension.natural_key.alias) ]]
    from {{ ref('stg_[[ names.source ]]__[[ role.holder.name ]]') }}
    where [[ role.column.alias ]] is not null
    [[ 'except' if loop.last else 'union' ]]
[% endfor %]
    select [[ dimension.natural_key.alias ]] from states
),

members as (
    select
        [[ dimension.natural_key.alias ]],
[% for column in dimension.columns %]
        [[ column.alias ]],
[% endfor %]
        valid_from,
        valid_to,
        is_deleted,
        false as is_inferred
    from versions
    union all
    select
        [[ dimension.natural_key.alias ]],
[% for column in dimension.columns %]
        null,
[% endfor %]
        {{ beginning_of_time() }},
        {{ end_of_time() }},
        false,
        true
    from inferred
),

keyed as (
    select
        {{ surrogate_key(["'[[ dimension.entity ]]'", "'[[ names.source ]]'", '[[ dimension.natural_key.alias ]]', 'valid_from']) }} as [[ dimension.entity ]]_version_key,
        {{ surrogate_key(["'[[ dimension.entity ]]'", "'[[ names.source ]]'", '[[ dimension.natural_key.alias ]]']) }} as [[ dimension.entity ]]_key,
        *
    from members
    union all
    select
        {{ unknown_key() }},
        {{ unknown_key() }},
        null,
[% for column in dimension.columns %]
        [[ "'Unknown'" if column is sameas dimension.label else 'null' ]],
[% endfor %]
        {{ beginning_of_time() }},
        {{ end_of_time() }},
        false,
        false
)

select
    [[ dimension.entity ]]_version_key,
    [[ dimension.entity ]]_key,
    {{ surrogate_key(["'source'", "'[[ names.source ]]'"]) }} as source_key,
    [[ dimension.natural_key.alias ]],
[% for column in dimension.columns %]
    [[ typed(column.alias, column) ]],
[% endfor %]
    valid_from,
    valid_to,
    valid_to = {{ end_of_time() }} as is_current,
    is_deleted,
    is_inferred
from keyed
