{#  Incremental facts: delete what new loads touched, then insert it anew.

    A fact names in `unique_key` the column, or columns, that it shares with the view of the keys to compute again (such as
    the order that a line is of). Its pre-hook `remember_touched(view)` keeps the view's answer for the length of the model, so
    that the delete, the model's own filter and the insert all mean the same keys. Unlike delete+insert, a key
    that has no rows any more loses its rows here too.

    With `meta.touched_from`, a column of both, the delete is bounded: rows of a touched key before it stay. The earliest
    such value is a constant of the session, because engines skip what lies before a constant; it isn't written into the
    statement, which is the same for every batch (warehouse/build/compiled.py).

    Where several facts share the keys, the model that lists them is a table, so that they are found once. It enters in
    the ledger of the generation what it has seen (`list_of_keys`), and a fact refuses a list that is older than the
    loads: selected alone, it would take them for seen. #}

{% macro get_incremental_touched_keys_sql(arg_dict) -%}
    {%- set target_relation = arg_dict['target_relation'] -%}
    {%- set keys = [arg_dict['unique_key']] if arg_dict['unique_key'] is string else arg_dict['unique_key'] -%}
    {%- set columns = arg_dict['dest_columns'] | map(attribute='quoted') | join(', ') -%}
    {%- set bound = (config.get('meta') or {}).get('touched_from') -%}
    {%- set is_touched -%}
    {{ has_touched_key('target', keys, bound) }}
    {%- if bound %} and target.{{ bound }} >= {{ kept_date('touched_from') }}{% endif -%}
    {%- endset -%}
    {%- if bound -%}{{ keep_date('touched_from', 'select min(' ~ bound ~ ') from ' ~ touched_table()) }}{%- endif -%}
    {{ keep_rows_before(target_relation, is_touched) }}
    delete from {{ target_relation }} as target
    where {{ is_touched }};
    {{ month_partitions(target_relation, arg_dict['temp_relation']) }}
    insert into {{ target_relation }} ({{ columns }})
    select {{ columns }}
    from {{ arg_dict['temp_relation'] }};
    {{ tell_followers(arg_dict['temp_relation'], arg_dict['dest_columns'] | map(attribute='name') | list) }}
{%- endmacro %}

{# The temporary table of the keys that this run computes again. #}
{% macro touched_table() -%}{{ return('touched__' ~ model.name) }}{%- endmacro %}

{#  For a `pre_hook`: remember the touched keys. Where the relation is built in full, there are none.

    touched: a relation, or a select in brackets with an alias.
    listed_by: the table that it comes from, where it is one. #}
{% macro remember_touched(touched, listed_by=none) -%}
    {%- if not is_incremental() -%}
    {{ outdate_followers() }}
    {%- else -%}
    {%- if listed_by -%}{{ refuse_older_list(listed_by) }}{%- endif -%}
    drop table if exists {{ touched_table() }};
    create temporary table {{ touched_table() }} as
    select * from {{ touched }};
    {{ analyze_table(touched_table()) }}
    {%- endif -%}
{%- endmacro %}

{# For a `pre_hook` of what reads a list of keys: the list has seen the loads that this relation is about to see. #}
{% macro refuse_older_list(name) -%}
    {%- if execute and ask_ledger(new_loads(name)).rows | length -%}
        {{ exceptions.raise_compiler_error(model.name ~ ': ' ~ name ~ ' has not seen the newest loads: build it too, '
            ~ 'with SELECT=+' ~ model.name) }}
    {%- endif -%}
{%- endmacro %}

{# For the `post_hook` of a list of keys, which is a table. It lies in another file than the ledger of the generation on DuckDB, which
   writes to one in a transaction: so the ledger follows in a transaction of its own. #}
{% macro list_of_keys() -%}
    {{ return({'sql': 'begin; {{ record_in_ledger(none, true) }}; commit', 'transaction': false}) }}
{%- endmacro %}

{#  A condition for latest_versions(): the columns are those of one of the touched keys. None where the fact is built in
    full. #}
{% macro among_touched() -%}
    {{ return(has_touched_key('log', varargs) if is_incremental() else none) }}
{%- endmacro %}

{#  A condition: these columns of `alias` are those of one of the touched keys, from its `bound` on where that is given.

    One column is looked for with `in`: DuckDB then skips blocks that can't hold a touched key, which it doesn't for an
    `exists`; Postgres has the keys before it looks (`is_one_of`). #}
{% macro has_touched_key(alias, columns, bound=none) -%}
    {%- if columns | length == 1 and not bound -%}
        {{ return(is_one_of(
            alias ~ '.' ~ columns[0], 'select touched.' ~ columns[0] ~ ' from ' ~ touched_table() ~ ' as touched'
        )) }}
    {%- endif -%}
    {%- set same = [] -%}
    {%- for column in columns %}{% do same.append('touched.' ~ column ~ ' = ' ~ alias ~ '.' ~ column) %}{% endfor -%}
    {%- if bound %}{% do same.append(alias ~ '.' ~ bound ~ ' >= touched.' ~ bound) %}{% endif -%}
    {{ return('exists (select 1 from ' ~ touched_table() ~ ' as touched where ' ~ same | join(' and ') ~ ')') }}
{%- endmacro %}

{#  The same for records of a child whose parent is touched, such as the lines of touched orders: all versions of every
    child that ever belonged to a touched parent. #}
{% macro among_children_of_touched(relation, child, parent) -%}
    {%- if is_incremental() -%}
        {%- set of_touched = is_one_of(
            'every_version.' ~ parent, 'select touched.' ~ parent ~ ' from ' ~ touched_table() ~ ' as touched'
        ) -%}
        {{ return(is_one_of('log.' ~ child, 'select every_version.' ~ child ~ ' from ' ~ relation
            ~ ' as every_version where ' ~ of_touched)) }}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}

{# The loads that at least one of these relations has not seen yet; none where this run builds all of them in full, since
   they ask for no list then, and to list every key there is takes as long as a fact. #}
{% macro loads_new_to(relation_names) -%}
    select completed.load_id
    from {{ granary_table('loads') }} as completed
    where {% if are_built_in_full(relation_names) %}false and {% endif %}completed.load_number > least(
        {%- for name in relation_names %}
        {{ last_load_seen(name) }}{{ ',' if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}

{# Whether this run builds each of these relations in full. #}
{% macro are_built_in_full(relation_names) -%}
    {%- for name in relation_names if 'model.' ~ project_name ~ '.' ~ name not in selected_resources -%}
        {{ return(false) }}
    {%- endfor -%}
    {{ return(flags.FULL_REFRESH) }}
{%- endmacro %}

{#  `make backfill`: a condition for the lists of touched keys, true for what happened on the days that are computed again
    whether anything new came or not. None where nothing is. #}
{% macro within_backfill(date) -%}
    {%- if var('backfill_from', none) -%}
        {{ return(date ~ " between cast('" ~ var('backfill_from') ~ "' as date) and cast('" ~ var('backfill_to') ~ "' as date)") }}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}
