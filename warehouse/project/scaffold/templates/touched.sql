{{ config(materialized='table', post_hook=list_of_keys()) }}

-- What is computed again: what new loads brought, and what refers to a member whose versions may differ from those that
-- it was joined to.
with new_loads as (
    {{ loads_new_to(['[[ star.fact ]]']) }}
),
[% for dimension in star.dimensions %]

[[ dimension.table.name ]]_versions as (
    select
        [[ dimension.natural_key.alias ]],
        valid_at,
        load_id in (select new_loads.load_id from new_loads) as is_new
    from {{ ref('stg_[[ names.source ]]__[[ dimension.table.name ]]') }}
),

changed_[[ dimension.table.name ]] as (
    select
        [[ dimension.natural_key.alias ]],
        {{ changed_from() }} as changed_from
    from [[ dimension.table.name ]]_versions
    group by [[ dimension.natural_key.alias ]]
    having max(case when is_new then 1 else 0 end) = 1
),
[% endfor %]
[% if star.may_move %]

new_lines as (
    select [[ line_key | join(', ') ]]
    from {{ ref('stg_[[ names.source ]]__[[ star.lines.name ]]') }}
    where load_id in (select new_loads.load_id from new_loads)
),
[% endif %]

[% if star.parent %]
-- Every version of a line, with every version of what it belongs to.
[% else %]
-- Every version.
[% endif %]
happened as (
    select
[% for column in (touched + line_key if star.may_move else touched) | unique %]
        lines.[[ column ]],
[% endfor %]
[% for role in star.roles %]
        [[ role.reference ]] as [[ role.name ]]_member,
[% endfor %]
        [[ event_at ]] as happened_at,
[% if star.parent %]
        (
            lines.load_id in (select new_loads.load_id from new_loads)
            or documents.load_id in (select new_loads.load_id from new_loads)
        ) as is_new
    from {{ ref('stg_[[ names.source ]]__[[ star.lines.name ]]') }} as lines
    inner join {{ ref('stg_[[ names.source ]]__[[ star.parent.name ]]') }} as documents on lines.[[ link ]] = documents.[[ parent_id ]]
[% else %]
        lines.load_id in (select new_loads.load_id from new_loads) as is_new
    from {{ ref('stg_[[ names.source ]]__[[ star.lines.name ]]') }} as lines
[% endif %]
)

select [[ touched | join(', ') ]]
from happened
where is_new
[% if star.may_move %]
union
-- A line that is another document's now is missed in the one that it was of.
select happened.[[ touched | join(', happened.') ]]
from happened
inner join new_lines on [% for column in line_key %]happened.[[ column ]] = new_lines.[[ column ]][[ '' if loop.last else ' and ' ]][% endfor +%]
[% endif %]
[% for role in star.roles %]
union
select happened.[[ touched | join(', happened.') ]]
from happened
inner join changed_[[ role.dimension.table.name ]] as changed on happened.[[ role.name ]]_member = changed.[[ role.dimension.natural_key.alias ]]
where happened.happened_at >= changed.changed_from
[% endfor %]
{%- if within_backfill('happened_at') %}
union
select [[ touched | join(', ') ]]
from happened
where {{ within_backfill(business_date('happened_at')) }}
{%- endif %}
