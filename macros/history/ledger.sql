{#  The ledger: which completed loads, and which code, each incremental relation has seen.

    `granary.loads` lists the completed loads of the build that is going on, so that every relation of one build
    sees the same ones; `granary.code` lists the fingerprint of each relation's code. Both are written by the build
    before dbt starts. What a relation has seen lies beside it, in the same database file or schema generation, and is
    written in the transaction that changes the relation:

    - `granary.seen_loads`, `granary.seen_code` for the snapshots, which all generations share
    - `ops.seen_loads`, `ops.seen_code` in each generation of the marts
    - `ops.pending` in each generation: what a relation that follows a fact has yet to compute again
      (macros/history/following.sql) #}

{% macro granary_table(name) -%}
    {{ return(api.Relation.create(database=target.database, schema=schema_prefix() ~ 'granary', identifier=name)) }}
{%- endmacro %}

{% macro ledger_table(name, published) -%}
    {%- if published -%}
        {{ return(api.Relation.create(
            database=generation_database(), schema=schema_prefix() ~ 'ops' ~ generation_suffix(), identifier=name)) }}
    {%- endif -%}
    {{ return(granary_table(name)) }}
{%- endmacro %}

{# A condition for staging: the row came by a load that is complete. #}
{% macro from_completed_load() -%}
    _load_id in (select completed.load_id from {{ granary_table('loads') }} as completed)
{%- endmacro %}

{# The same at any time, for what lies beside the generations; loads that brought nothing are complete too. #}
{% macro from_any_completed_load(source_id) -%}
    _load_id in (
        select completed.load_id
        from {{ source(source_id, 'loads').incorporate(path={'identifier': '_dlt_loads'}) }} as completed
        where completed.status = 0
    )
{%- endmacro %}

{# The loads that `relation_name` has not seen yet, as a subquery's select. `published`: it lies in a generation. #}
{% macro new_loads(relation_name, published=true) -%}
    select completed.load_id
    from {{ granary_table('loads') }} as completed
    where not exists (
        select 1
        from {{ ledger_table('seen_loads', published) }} as seen
        where seen.relation_name = '{{ relation_name }}' and seen.load_id = completed.load_id
    )
{%- endmacro %}

{# Statements that note that `relation_name` has now seen every load and its present code. #}
{% macro record_in_ledger(relation_name=none, published=none) -%}
    {%- set relation_name = relation_name or model.name -%}
    {%- set published = is_published(model) if published is none else published -%}
    insert into {{ ledger_table('seen_loads', published) }} (relation_name, load_id)
    select '{{ relation_name }}', unseen.load_id
    from ({{ new_loads(relation_name, published) }}) as unseen;
    delete from {{ ledger_table('seen_code', published) }} where relation_name = '{{ relation_name }}';
    insert into {{ ledger_table('seen_code', published) }} (relation_name, fingerprint)
    select code.relation_name, code.fingerprint
    from {{ granary_table('code') }} as code
    where code.relation_name = '{{ relation_name }}'
    {%- if published %};
    delete from {{ ledger_table('pending', true) }} where relation_name = '{{ relation_name }}'
    {%- endif %}
{%- endmacro %}

{# Whether the code of `relation_name` is not the code that it was built with. #}
{% macro code_changed(relation_name, published) -%}
    {%- if not execute -%}{{ return(false) }}{%- endif -%}
    {%- set same = run_query("select count(*) from " ~ granary_table('code') ~ " as code inner join "
        ~ ledger_table('seen_code', published) ~ " as seen on seen.relation_name = code.relation_name"
        ~ " and seen.fingerprint = code.fingerprint where code.relation_name = '" ~ relation_name ~ "'") -%}
    {{ return(same.columns[0].values()[0] == 0) }}
{%- endmacro %}

{# dbt's own question, with one more reason to say yes: the relation's code changed since it was built. #}
{% macro should_full_refresh() -%}
    {%- set asked = config.get('full_refresh') -%}
    {%- if asked is none -%}{%- set asked = flags.FULL_REFRESH -%}{%- endif -%}
    {%- if not asked and model.resource_type in ['model', 'snapshot']
        and model.config.materialized in ['incremental', 'snapshot'] -%}
        {%- set asked = code_changed(model.name, is_published(model)) -%}
    {%- endif -%}
    {{ return(asked) }}
{%- endmacro %}
