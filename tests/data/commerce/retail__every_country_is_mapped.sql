-- Every country that the retail files name is in the seed country_names. A warning: one is missing there, and its sales
-- are under the unknown country.
{{ config(severity='warn', meta={'quality_dimension': 'validity'}) }}

select
    versions.country_name,
    count(*) as version_count
from {{ ref('snap_retail__customers') }} as versions
left join {{ ref('country_names') }} as names on {{ folded('versions.country_name') }} = names.country_name
where versions.country_name is not null and names.country_name is null
group by versions.country_name
