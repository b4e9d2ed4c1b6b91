{% snapshot snap_[[ source ]]__[[ table ]] %}

    {{ config(
        unique_key=[[ one_or_list(key) ]],
        check_cols=[
[% for column in columns %]
            '[[ column ]]',
[% endfor %]
        ],
    ) }}

    select * from {{ ref('stg_[[ source ]]__[[ table ]]') }}

{% endsnapshot %}
