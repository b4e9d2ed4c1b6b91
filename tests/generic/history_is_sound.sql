{#  For each key (a column, or a list of them) the intervals tile the whole of time, so that one version holds at each
    instant; the last is open and the only one that is current; neighbours differ in `content`. Unless given, that is
    every other column but the version's own key, which is made of the interval.

    Failing rows: each interval that breaks this, with its first `violation`. #}
{% test history_is_sound(model, key, content=none) %}
    {%- set keys = [key] if key is string else key %}
    {%- set columns = adapter.get_columns_in_relation(model) if execute and content is none else [] %}
    {%- set others = [] %}
    {%- for column in columns | map(attribute='name') | map('lower')
        if column not in ['valid_from', 'valid_to', 'is_current'] + keys and not column.endswith('_version_key') %}
        {%- do others.append(column) %}
    {%- endfor %}
    {%- set content_hash = row_hash(content or others) %}
    select * from (
        select *, case
            when {{ keys | join(' is null or ') }} is null or valid_from is null or valid_to is null
                then 'has no key, beginning or end'
            when valid_from >= valid_to then 'ends before it begins'
            when lag(valid_to) over history > valid_from then 'overlaps the one before'
            when lag(valid_to) over history < valid_from then 'leaves a gap after the one before'
            when lag(valid_to) over history is null and valid_from <> {{ beginning_of_time() }} then 'begins too late'
            when lead(valid_from) over history is null and valid_to <> {{ end_of_time() }} then 'is the last but ends'
            when is_current is distinct from (lead(valid_from) over history is null)
                then 'is wrongly marked as current or past'
            when {{ content_hash }} = lag({{ content_hash }}) over history then 'says the same as the one before'
        end as violation
        from {{ model }}
        window history as (partition by {{ keys | join(', ') }} order by valid_from, valid_to)
    ) as judged
    where violation is not null
{% endtest %}
