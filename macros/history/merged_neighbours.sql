{#  The intervals of states that several timelines make up: each begins where something tracked changes, and ends where the
    next begins. Neighbours that are equal in `tracked` are one interval.

    `states` has `key`, the tracked columns and `valid_from`: one row for each instant at which any timeline changed. #}
{% macro merged_neighbours(states, key, tracked) -%}
select
    {{ key }},
    {{ tracked | join(',\n    ') }},
    valid_from,
    coalesce(
        lead(valid_from) over (partition by {{ key }} order by valid_from), {{ end_of_time() }}
    ) as valid_to
from (
    select
        hashed.*,
        lag(content_hash) over (partition by {{ key }} order by valid_from) as previous_hash
    from (
        select
            {{ states }}.*,
            {{ row_hash(tracked) }} as content_hash
        from {{ states }}
    ) as hashed
) as compared
where previous_hash is null or previous_hash <> content_hash
{%- endmacro %}

{#  From when on the new versions of a record (`is_new`, `valid_at`) may change what facts were joined to, as an aggregate. A
    first version reaches back, so what it changes does too. #}
{% macro changed_from() -%}
    case
        when min(case when is_new then valid_at end) = min(valid_at) then {{ beginning_of_time() }}
        else min(case when is_new then valid_at end)
    end
{%- endmacro %}
