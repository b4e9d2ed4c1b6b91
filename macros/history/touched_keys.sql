{#  Incremental facts: delete what new loads touched, then insert it anew.

    A fact names in `unique_key` the column that it shares with the view of the keys to compute again (such as the order
    that a line is of). Its pre-hook `remember_touched(view)` keeps the view's answer for the length of the model, so
    that the delete, the model's own filter and the insert all mean the same keys. Unlike delete+insert, a key
    that has no rows any more loses its rows here too.

    With `meta.touched_from`, a column of both, the delete is bounded: rows of a touched key before it stay. #}

{% macro get_incremental_touched_keys_sql(arg_dict) -%}
    {%- set target_relation = arg_dict['target_relation'] -%}
    {%- set key = arg_dict['unique_key'] -%}
    {%- set columns = arg_dict['dest_columns'] | map(attribute='quoted') | join(', ') -%}
    {%- set bound = (config.get('meta') or {}).get('touched_from') -%}
    delete from {{ target_relation }} as target
    where exists (
        select 1
        from {{ touched_table() }} as touched
        where touched.{{ key }} = target.{{ key }}{% if bound %} and target.{{ bound }} >= touched.{{ bound }}{% endif %}
    );
    insert into {{ target_relation }} ({{ columns }})
    select {{ columns }}
    from {{ arg_dict['temp_relation'] }}
{%- endmacro %}

{# The temporary table of the keys that this run computes again. #}
{% macro touched_table() -%}{{ return('touched__' ~ model.name) }}{%- endmacro %}

{# For a fact's `pre_hook`: remember the touched keys. Does nothing where the fact is built in full. #}
{% macro remember_touched(touched_relation) -%}
    {%- if is_incremental() -%}
    drop table if exists {{ touched_table() }};
    create temporary table {{ touched_table() }} as
    select * from {{ touched_relation }};
    {{ analyze_table(touched_table()) }}
    {%- endif -%}
{%- endmacro %}

{# A condition for latest_versions(): `column` is one of the touched keys. None where the fact is built in full. #}
{% macro among_touched(column, touched_column=none) -%}
    {%- if is_incremental() -%}
        {{ return('exists (select 1 from ' ~ touched_table() ~ ' as touched where touched.'
            ~ (touched_column or column) ~ ' = log.' ~ column ~ ')') }}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}

{#  The same for records of a child whose parent is touched, such as the lines of touched orders: all versions of every
    child that ever belonged to a touched parent. #}
{% macro among_children_of_touched(relation, child, parent) -%}
    {%- if is_incremental() -%}
        {{ return('log.' ~ child ~ ' in (select every_version.' ~ child ~ ' from ' ~ relation ~ ' as every_version where '
            ~ 'every_version.' ~ parent ~ ' in (select touched.' ~ parent ~ ' from ' ~ touched_table() ~ ' as touched))') }}
    {%- endif -%}
    {{ return(none) }}
{%- endmacro %}

{# The loads that at least one of these relations has not seen yet. #}
{% macro loads_new_to(relation_names) -%}
    select completed.load_id
    from {{ granary_table('loads') }} as completed
    where (
        select count(distinct seen.relation_name)
        from {{ ledger_table('seen_loads', true) }} as seen
        where seen.load_id = completed.load_id and seen.relation_name in ('{{ relation_names | join("', '") }}')
    ) < {{ relation_names | length }}
{%- endmacro %}
