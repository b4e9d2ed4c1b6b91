{#  For each key a snapshot's intervals tile the whole of time, one of them open, and neighbours differ in `content`,
    which is every other column unless given. Failing rows: each interval that breaks this, with its first `violation`. #}
{% test history_is_sound(model, key, content=none) %}
    {%- set known = [key | lower, 'valid_from', 'valid_to', 'is_current'] %}
    {%- set columns = adapter.get_columns_in_relation(model) if execute and content is none else [] %}
    {%- set content = content or columns | map(attribute='name') | map('lower') | reject('in', known) | list %}
    select * from (
        select *, case
            when {{ key }} is null or valid_from is null or valid_to is null then 'has no key, beginning or end'
            when valid_from >= valid_to then 'ends before it begins'
            when lag(valid_to) over history > valid_from then 'overlaps the one before'
            when lag(valid_to) over history < valid_from then 'leaves a gap after the one before'
            when lag(valid_to) over history is null and valid_from <> {{ beginning_of_time() }} then 'begins too late'
            when lead(valid_from) over history is null and valid_to <> {{ end_of_time() }} then 'is the last but ends'
            when is_current <> (lead(valid_from) over history is null) then 'is wrongly marked as current or past'
            when {{ row_hash(content) }} = lag({{ row_hash(content) }}) over history then 'says the same as the one before'
        end as violation
        from {{ model }}
        window history as (partition by {{ key }} order by valid_from, valid_to)
    ) as judged
    where violation is not null
{% endtest %}
