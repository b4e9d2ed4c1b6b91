-- The test of history finds what is planted here, and nothing else: a miss or a false alarm is a failing row. What stands
-- behind a stroke is the second part of a record's key.
{{ config(meta={'quality_dimension': 'consistency'}) }}
{%- set planted = [
    ('sound', '1900-01-01', '2024-01-01', false, 'a', none),
    ('sound', '2024-01-01', '2024-02-01', false, 'b', none),
    ('sound', '2024-02-01', '9999-12-31', true, 'a', none),
    ('inverted', '1900-01-01', '1900-01-01', true, 'a', 'ends before it begins'),
    ('overlap', '1900-01-01', '2024-02-01', false, 'a', none),
    ('overlap', '2024-01-01', '9999-12-31', true, 'b', 'overlaps the one before'),
    ('twice', '1900-01-01', '2024-01-01', false, 'a', none),
    ('twice', '1900-01-01', '9999-12-31', true, 'b', 'overlaps the one before'),
    ('within', '1900-01-01', '2024-03-01', false, 'a', none),
    ('within', '2024-01-01', '2024-02-01', false, 'b', 'overlaps the one before'),
    ('within', '2024-02-01', '9999-12-31', true, 'c', none),
    ('gap', '1900-01-01', '2024-01-01', false, 'a', none),
    ('gap', '2024-02-01', '9999-12-31', true, 'b', 'leaves a gap after the one before'),
    ('late', '2024-01-01', '9999-12-31', true, 'a', 'begins too late'),
    ('ended', '1900-01-01', '2024-01-01', true, 'a', 'is the last but ends'),
    ('two current', '1900-01-01', '2024-01-01', true, 'a', 'is wrongly marked as current or past'),
    ('two current', '2024-01-01', '9999-12-31', true, 'b', none),
    ('none current', '1900-01-01', '9999-12-31', false, 'a', 'is wrongly marked as current or past'),
    ('unmarked', '1900-01-01', '9999-12-31', none, 'a', 'is wrongly marked as current or past'),
    ('same', '1900-01-01', '2024-01-01', false, 'a', none),
    ('same', '2024-01-01', '9999-12-31', true, 'a', 'says the same as the one before'),
    ('endless', '1900-01-01', none, true, 'a', 'has no key, beginning or end'),
    ('parts / one', '1900-01-01', '2024-01-01', false, 'a', none),
    ('parts / one', '2024-01-01', '9999-12-31', true, 'b', none),
    ('parts / two', '1900-01-01', '9999-12-31', true, 'c', none),
    ('parts / three', '2024-01-01', '9999-12-31', true, 'd', 'begins too late'),
] -%}

with planted as (
    {% for record_id, valid_from, valid_to, is_current, content, violation in planted -%}
    select
        '{{ record_id.split(' / ')[0] }}' as record_id,
        '{{ record_id.split(' / ')[-1] }}' as part_id,
        cast('{{ valid_from }}' as timestamp) as valid_from,
        cast({{ "'" ~ valid_to ~ "'" if valid_to else 'null' }} as timestamp) as valid_to,
        cast({{ 'null' if is_current is none else is_current | lower }} as boolean) as is_current,
        '{{ content }}' as content,
        {{ "'" ~ violation ~ "'" if violation else 'cast(null as varchar)' }} as expected_violation
    {%- if not loop.last %}
    union all
    {%- endif %}
    {% endfor %}
),

found as (
    {{ test_history_is_sound('planted', ['record_id', 'part_id'], ['content']) }}
)

select
    planted.*,
    found.violation
from planted
left join found
    on
        planted.record_id = found.record_id
        and planted.part_id = found.part_id
        and planted.valid_from = found.valid_from
        and planted.content = found.content
where planted.expected_violation is distinct from found.violation
