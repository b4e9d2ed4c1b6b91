{#  The fact holds every record that the log holds now, and `amount`, where one is named, adds up to what the records say.

    Each key that the fact computes again can be asked by itself: with `touched_by` the fact, the columns that it shares
    with its touched keys are those by which records belong to them.

    Failing rows: one, with both counts and totals. #}
{% test every_record_is_there(model, log, key, amount=none) %}
    {%- set total = 'sum(' ~ amount ~ ')' if amount else '0' %}
    select
        held.row_count as held_row_count,
        published.row_count,
        held.total as held_total,
        published.total
    from (
        select count(*) as row_count, {{ total }} as total from {{ latest_versions(log, key) }} as latest
    ) as held
    cross join (
        select count(*) as row_count, {{ total }} as total from {{ model }}
    ) as published
    where
        held.row_count <> published.row_count
        or held.total is distinct from published.total
{% endtest %}
