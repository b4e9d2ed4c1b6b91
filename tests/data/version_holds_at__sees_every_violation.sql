-- The test of version keys finds what is planted here, and nothing else: a miss or a false alarm is a failing row.
{{ config(meta={'quality_dimension': 'consistency'}) }}
{%- set planted = [
    ('first day of the version', 'a', 'a2', '2024-01-01 00:00:00', false),
    ('last moment of the version', 'a', 'a1', '2023-12-31 23:59:59', false),
    ('no time to compare', 'a', 'a2', none, false),
    ('version of before', 'a', 'a1', '2024-01-01 00:00:00', true),
    ('version to come', 'a', 'a2', '2023-12-31 23:59:59', true),
    ('version of somebody else', 'b', 'a2', '2024-02-01 00:00:00', true),
    ('no such version', 'a', 'a9', '2024-02-01 00:00:00', true),
    ('no version', 'a', none, '2024-02-01 00:00:00', true),
] -%}

with planted as (
    {% for case_name, member_key, version_key, event_at, is_wrong in planted -%}
    select
        '{{ case_name }}' as case_name,
        '{{ member_key }}' as member_key,
        cast({{ "'" ~ version_key ~ "'" if version_key else 'null' }} as varchar) as version_key,
        cast({{ "'" ~ event_at ~ "'" if event_at else 'null' }} as timestamp) as event_at,
        {{ is_wrong | lower }} as is_wrong
    {%- if not loop.last %}
    union all
    {%- endif %}
    {% endfor %}
),

versions as (
    select
        'a' as member_key,
        'a1' as version_key,
        cast('1900-01-01' as timestamp) as valid_from,
        cast('2024-01-01' as timestamp) as valid_to
    union all
    select
        'a' as member_key,
        'a2' as version_key,
        cast('2024-01-01' as timestamp) as valid_from,
        cast('9999-12-31' as timestamp) as valid_to
),

found as (
    {{ test_version_holds_at('planted', 'versions', 'member_key', 'version_key', 'event_at') }}
),

-- By the first and the last time of each version alone: those with a violation are found, and no others.
found_by_ends as (
    {{ test_version_holds_at('planted', 'versions', 'member_key', 'version_key', 'event_at', rises_with='event_at') }}
)

select planted.case_name
from planted
left join found
    on
        planted.member_key = found.member_key
        and planted.version_key is not distinct from found.version_key
        and planted.event_at is not distinct from found.event_at
where planted.is_wrong = (found.member_key is null)
union all
select coalesce(planted.member_key, found_by_ends.member_key) || ' by its ends'
from (select member_key, version_key from planted where is_wrong group by member_key, version_key) as planted
full join (select member_key, version_key from found_by_ends group by member_key, version_key) as found_by_ends
    on
        planted.member_key = found_by_ends.member_key
        and coalesce(planted.version_key, 'none') = coalesce(found_by_ends.version_key, 'none')
where planted.member_key is null or found_by_ends.member_key is null
