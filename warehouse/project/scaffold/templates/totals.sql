-- What the source holds now is in [[ star.fact ]], and nothing else: as many records with the same sums, day by day.
{{ config(meta={'quality_dimension': 'completeness'}) }}

with lines as (
    select * from {{ latest_versions(ref('stg_[[ names.source ]]__[[ star.lines.name ]]'), [[ one_or_list(line_key) ]]) }} as latest
),
[% if star.parent %]

documents as (
    select * from {{ latest_versions(ref('stg_[[ names.source ]]__[[ star.parent.name ]]'), '[[ parent_id ]]') }} as latest
),
[% endif %]

held as (
    select
        [[ event_date ]] as [[ names.star.event_date ]],
        count(*) as [[ star.event_name ]]_count[[ ',' if measures else '' ]]
[% for measure in measures %]
        sum([[ measure.of('lines') ]]) as [[ measure.name ]][[ '' if loop.last else ',' ]]
[% endfor %]
[% include "happened.sql" %]
    group by [[ event_date ]]
),

published as (
    select
        [[ names.star.event_date ]],
        count(*) as [[ star.event_name ]]_count[[ ',' if measures else '' ]]
[% for measure in measures %]
        sum([[ measure.name ]]) as [[ measure.name ]][[ '' if loop.last else ',' ]]
[% endfor %]
    from {{ ref('[[ star.fact ]]') }}
    group by [[ names.star.event_date ]]
)

select
    coalesce(held.[[ names.star.event_date ]], published.[[ names.star.event_date ]]) as [[ names.star.event_date ]],
    held.[[ star.event_name ]]_count,
    published.[[ star.event_name ]]_count as published_count
from held
full join published on held.[[ names.star.event_date ]] = published.[[ names.star.event_date ]]
where
    held.[[ star.event_name ]]_count is distinct from published.[[ star.event_name ]]_count
[% for measure in measures %]
    or held.[[ measure.name ]] is distinct from published.[[ measure.name ]]
[% endfor %]
