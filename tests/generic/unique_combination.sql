{#  Together, the columns name one row: the table's grain.

    Failing rows: each combination that occurs more than once, with how often. #}
{% test unique_combination(model, columns) %}
    select
        {{ columns | join(', ') }},
        count(*) as row_count
    from {{ model }}
    group by {{ columns | join(', ') }}
    having count(*) > 1
{% endtest %}
