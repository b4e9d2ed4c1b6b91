{#  Each row carries the version of a dimension's member that held at the time of the event: the version exists, is one
    of the same member, and `event_at` (a timestamp, or an expression that makes one) lies in its interval. Rows without
    a time have nothing to compare.

    Failing rows: the keys, the time, and the interval of the version that the row carries instead. #}
{% test version_holds_at(model, dimension, key, version_key, event_at) %}
    select
        facts.{{ key }},
        facts.{{ version_key }},
        facts.event_at,
        versions.{{ key }} as found_key,
        versions.valid_from,
        versions.valid_to
    from (
        select
            {{ key }},
            {{ version_key }},
            {{ event_at }} as event_at
        from {{ model }}
    ) as facts
    left join {{ dimension }} as versions on facts.{{ version_key }} = versions.{{ version_key }}
    where
        versions.{{ version_key }} is null
        or versions.{{ key }} <> facts.{{ key }}
        or facts.event_at < versions.valid_from
        or facts.event_at >= versions.valid_to
{% endtest %}
