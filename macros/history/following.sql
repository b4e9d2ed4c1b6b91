{#  Aggregates that follow a fact: where the fact's rows change, they compute again what these rows add up to, and no more.

    An aggregate says so in its meta:

        follows: {relation: <fact>, key: business_date, ignores: [customer_key]}

    While the fact deletes and inserts the rows of its touched keys, both are compared as they are, once for all followers:
    of most rows nothing is left then. What is left is compared again for each follower, without the columns in
    `ignores`; the values of `key` of all rows that differ go to `ops.pending` of the same generation, in the
    transaction that changes the fact. The aggregate takes them from there with `remember_touched(pending_keys(…))`;
    they wait since its last entry in the ledger, and are done with the next, in the transaction that changes it. A fact
    that is built in full makes its followers be built in full too. #}

{#  Who follows the model that is built: name, key and ignores of each. The build writes it down beside the fact before dbt
    starts (`dbt.run` in warehouse/dbt.py), for dbt would make every node anew to look for it. #}
{% macro followers() -%}
    {%- if execute and model.meta.followers is not defined -%}
        {{ exceptions.raise_compiler_error(model.name ~ ' is built by `make build`, which knows what follows it') }}
    {%- endif -%}
    {{ return(model.meta.followers if execute else []) }}
{%- endmacro %}

{# For `remember_touched`: the keys that this aggregate has yet to compute again, as `column`. `expression` reads `followed_key`. #}
{% macro pending_keys(column, expression) -%}
    {{ return('(select distinct ' ~ expression ~ ' as ' ~ column ~ ' from ' ~ ledger_table('pending', true)
        ~ " where relation_name = '" ~ model.name ~ "' and entry_number = " ~ last_entry(model.name) ~ ') as pending') }}
{%- endmacro %}

{# Statements for the fact: keep the rows that are about to be deleted. #}
{% macro keep_rows_before(target_relation, condition) -%}
    {%- if followers() -%}
    drop table if exists before__{{ model.name }};
    create temporary table before__{{ model.name }} as
    select * from {{ target_relation }} as target
    where {{ searched_by_key(target_relation, condition) }};
    {{ analyze_table('before__' ~ model.name) }};
    {%- endif -%}
{%- endmacro %}

{# Statements for the fact: compare the kept rows with those that take their place, and tell the followers. #}
{% macro tell_followers(new_rows, columns) -%}
    {%- if followers() -%}
    {%- set all_columns = columns | join(', ') %}
    drop table if exists changed__{{ model.name }};
    create temporary table changed__{{ model.name }} as
    select {{ all_columns }}, sum(times) as surplus
    from (
        select {{ all_columns }}, -1 as times from before__{{ model.name }}
        union all
        select {{ all_columns }}, 1 as times from {{ new_rows }}
    ) as signed
    group by {{ all_columns }}
    having sum(times) <> 0;
    {%- endif -%}
    {%- for follower in followers() -%}
    {%- set compared = columns | reject('in', follower.ignores) | join(', ') %}
    insert into {{ ledger_table('pending', true) }} (relation_name, entry_number, followed_key)
    select distinct
        '{{ follower.name }}', {{ last_entry(follower.name) }}, cast({{ follower.key }} as {{ dbt.type_string() }})
    from (
        select {{ compared }} from changed__{{ model.name }} group by {{ compared }} having sum(surplus) <> 0
    ) as changed;
    {%- endfor -%}
{%- endmacro %}

{# A statement for a fact that is built in full: its followers are not up to date any more. #}
{% macro outdate_followers() -%}
    {%- for follower in followers() -%}
    insert into {{ ledger_table('seen', true) }} (relation_name, entry_number, load_number, fingerprint)
    select '{{ follower.name }}', {{ last_entry(follower.name) }} + 1, 0, 'outdated'
    {%- if not loop.last %};{% endif -%}
    {%- endfor -%}
{%- endmacro %}
