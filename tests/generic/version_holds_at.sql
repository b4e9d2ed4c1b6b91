{#  Each row carries the version of a dimension's member that held at the time of the event: the version exists, is one
    of the same member, and `event_at` (a timestamp, or an expression that makes one) lies in its interval. Rows without
    a time have nothing to compare. `entity` names the dimension's keys where the fact's are those of a role of it.

    `rises_with` is a column that `event_at` never falls with. Then the first and the last time of each version are enough,
    since what lies between them lies in the interval too: a fact of every day has one for thousands of rows.

    Failing rows: the keys, the time, and the interval of the version that the row carries instead. #}
{% test version_holds_at(model, dimension, key, version_key, event_at, entity=none, rises_with=none) %}
    {%- set member_key = entity ~ '_key' if entity else key -%}
    {%- set member_version_key = entity ~ '_version_key' if entity else version_key %}
    select
        facts.{{ key }},
        facts.{{ version_key }},
        facts.event_at,
        versions.{{ member_key }} as found_key,
        versions.valid_from,
        versions.valid_to
    from (
        select
            {{ key }},
            {{ version_key }},
            {{ event_at }} as event_at
        from {% if rises_with %}(
            {%- for end in ['min', 'max'] %}
            select {{ key }}, {{ version_key }}, {{ end }}({{ rises_with }}) as {{ rises_with }}
            from {{ model }}
            group by {{ key }}, {{ version_key }}
            {{- ' union' if not loop.last }}
            {%- endfor %}
        ) as ends{% else %}{{ model }}{% endif %}
    ) as facts
    left join {{ dimension }} as versions on facts.{{ version_key }} = versions.{{ member_version_key }}
    where
        versions.{{ member_version_key }} is null
        or versions.{{ member_key }} <> facts.{{ key }}
        or facts.event_at < versions.valid_from
        or facts.event_at >= versions.valid_to
{% endtest %}
