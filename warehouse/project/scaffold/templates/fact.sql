{{ config(
    materialized='incremental',
    incremental_strategy='touched_keys',
    unique_key=[[ one_or_list(touched) ]],
    pre_hook="{{ remember_touched(ref('[[ names.touched ]]'), '[[ names.touched ]]') }}",
    indexes=[
        {'columns': ['[[ star.event_name ]]_key'], 'unique': true},
        {'columns': [[ touched ]]},
        {'columns': ['[[ names.star.event_date ]]'], 'type': 'brin'},
    ],
) }}
-- depends_on: {{ ref('[[ names.touched ]]') }}

with lines as (
    select * from {{ latest_versions(
        ref('stg_[[ names.source ]]__[[ star.lines.name ]]'), [[ one_or_list(line_key) ]],
        [[ only_lines ]]
    ) }} as latest
[% if star.may_move %]
    {%- if is_incremental() %}
    where latest.[[ link ]] in (select touched.[[ link ]] from {{ touched_table() }} as touched)
    {%- endif %}
[% endif %]
),
[% if star.parent %]

documents as (
    select * from {{ latest_versions(
        ref('stg_[[ names.source ]]__[[ star.parent.name ]]'), '[[ parent_id ]]'[[ ", among_touched('" ~ parent_id ~ "')" if star.is_by_parent and parent_id == link else '' ]]
    ) }} as latest
),
[% endif %]

keyed as (
    select
[% for column in line_columns %]
        lines.[[ column ]],
[% endfor %]
[% for column in parent_columns %]
        documents.[[ column ]],
[% endfor %]
[% for role in star.roles %]
        {{ surrogate_key(["'[[ role.dimension.entity ]]'", "'[[ names.source ]]'", '[[ role.reference ]]']) }} as [[ role.name ]]_key,
[% endfor %]
        [[ as_named(event_at, names.star.event_at) ]],
        [[ as_named(event_date, names.star.event_date) ]]
[% include "happened.sql" %]
    {{ computed_once() }}
)

select
    {{ surrogate_key(["'[[ star.event_name ]]'", "'[[ names.source ]]'"[% for column in line_key %], 'keyed.[[ column ]]'[% endfor %]]) }} as [[ star.event_name ]]_key,
    {{ surrogate_key(["'source'", "'[[ names.source ]]'"]) }} as source_key,
[% for role in star.roles %]
    coalesce([[ role.name ]]_versions.[[ role.dimension.entity ]]_key, {{ unknown_key() }}) as [[ role.name ]]_key,
    coalesce([[ role.name ]]_versions.[[ role.dimension.entity ]]_version_key, {{ unknown_key() }}) as [[ role.name ]]_version_key,
[% endfor %]
[% for expression in plain %]
    [[ expression ]],
[% endfor %]
    keyed.[[ names.star.event_date ]],
    keyed.[[ names.star.event_at ]][[ ',' if measures else '' ]]
[% for measure in measures %]
    [[ measure.of('keyed') ]] as [[ measure.name ]][[ '' if loop.last else ',' ]]
[% endfor %]
from keyed
[% for role in star.roles %]
left join {{ ref('[[ role.dimension.name ]]') }} as [[ role.name ]]_versions
    on
        keyed.[[ role.name ]]_key = [[ role.name ]]_versions.[[ role.dimension.entity ]]_key
        and keyed.[[ names.star.event_at ]] >= [[ role.name ]]_versions.valid_from
        and keyed.[[ names.star.event_at ]] < [[ role.name ]]_versions.valid_to
[% endfor %]
