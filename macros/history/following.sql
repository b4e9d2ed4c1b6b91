{#  Aggregates that follow a fact: where the fact's rows change, they compute again what these rows add up to, and no more.

    An aggregate says so in its meta:

        follows: {relation: <fact>, key: business_date, ignores: [customer_key]}

    While the fact deletes and inserts the rows of its touched keys, both are compared, without the columns in
    `ignores`; the values of `key` of all rows that differ go to `ops.pending` of the same generation, in the
    transaction that changes the fact. The aggregate takes them from there with `remember_touched(pending_keys(…))`,
    and the ledger clears them in the transaction that changes the aggregate. A fact that is built in full makes its
    followers be built in full too. #}

{# The nodes that follow the fact `relation_name`. #}
{% macro followers_of(relation_name) -%}
    {%- set found = [] -%}
    {%- for node in models_of_graph() -%}
        {%- set follows = (node.config.meta or {}).get('follows') -%}
        {%- if follows and follows.relation == relation_name -%}{%- do found.append(node) -%}{%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}

{# For `remember_touched`: the keys that this aggregate has yet to compute again, as `column`. `expression` reads `followed_key`. #}
{% macro pending_keys(column, expression) -%}
    {{ return('(select distinct ' ~ expression ~ ' as ' ~ column ~ ' from ' ~ ledger_table('pending', true)
        ~ " where relation_name = '" ~ model.name ~ "') as pending") }}
{%- endmacro %}

{# Statements for the fact: keep the rows that are about to be deleted. #}
{% macro keep_rows_before(target_relation, condition) -%}
    {%- if followers_of(model.name) -%}
    drop table if exists before__{{ model.name }};
    create temporary table before__{{ model.name }} as
    select * from {{ target_relation }} as target
    where {{ condition }};
    {{ analyze_table('before__' ~ model.name) }};
    {%- endif -%}
{%- endmacro %}

{# Statements for the fact: compare the kept rows with those that take their place, and tell the followers. #}
{% macro tell_followers(new_rows, columns) -%}
    {%- for node in followers_of(model.name) -%}
    {%- set follows = node.config.meta.follows -%}
    {%- set compared = columns | reject('in', follows.get('ignores', [])) | join(', ') %}
    insert into {{ ledger_table('pending', true) }} (relation_name, followed_key)
    select distinct '{{ node.name }}', cast({{ follows.key }} as {{ dbt.type_string() }})
    from (
        (select {{ compared }} from before__{{ model.name }} except all select {{ compared }} from {{ new_rows }})
        union all
        (select {{ compared }} from {{ new_rows }} except all select {{ compared }} from before__{{ model.name }})
    ) as changed;
    {%- endfor -%}
{%- endmacro %}

{# A statement for a fact that is built in full: its followers are not up to date any more. #}
{% macro outdate_followers() -%}
    {%- set followers = followers_of(model.name) | map(attribute='name') | join("', '") -%}
    {%- if followers -%}
    delete from {{ ledger_table('seen_code', true) }} where relation_name in ('{{ followers }}')
    {%- endif -%}
{%- endmacro %}
