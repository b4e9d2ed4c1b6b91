{#  The ledger: which completed loads, and which code, each incremental relation has seen.

    `granary.loads` lists the completed loads of the build that is going on, so that every relation of one build
    sees the same ones, and numbers them in the order in which builds first saw them, whatever their time;
    `granary.code` lists the fingerprint of each relation's code. Both are written by the build before dbt starts. What a
    relation has seen lies beside it, in the same database file or schema generation, and is written in the transaction
    that changes the relation:

    - `granary.seen` for the snapshots, which all generations share
    - `ops.seen` in each generation of the marts
    - `ops.pending` in each generation: what a relation that follows a fact has yet to compute again
      (macros/history/following.sql)

    Entries are only ever added, numbered for each relation: the last one holds, and what waits since an earlier one has
    been done. A build takes away before it begins what does not hold any more (`ledger.fold`). #}

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

{# The number of the last load that `relation_name` has seen, as a scalar subquery; 0 where it has seen none. #}
{% macro last_load_seen(relation_name, published=true) -%}
    (
        select coalesce(max(seen.load_number), 0)
        from {{ ledger_table('seen', published) }} as seen
        where seen.relation_name = '{{ relation_name }}'
    )
{%- endmacro %}

{# The number of the last entry of `relation_name`, as a scalar subquery; 0 where there is none. #}
{% macro last_entry(relation_name, published=true) -%}
    (
        select coalesce(max(seen.entry_number), 0)
        from {{ ledger_table('seen', published) }} as seen
        where seen.relation_name = '{{ relation_name }}'
    )
{%- endmacro %}

{# The loads that `relation_name` has not seen yet, as a subquery's select. `published`: it lies in a generation. #}
{% macro new_loads(relation_name, published=true) -%}
    select completed.load_id
    from {{ granary_table('loads') }} as completed
    where completed.load_number > {{ last_load_seen(relation_name, published) }}
{%- endmacro %}

{# A statement that notes that `relation_name` has now seen every load and its present code. #}
{% macro record_in_ledger(relation_name=none, published=none) -%}
    {%- set relation_name = relation_name or model.name -%}
    {%- set published = is_published(model) if published is none else published -%}
    insert into {{ ledger_table('seen', published) }} (relation_name, entry_number, load_number, fingerprint)
    select
        code.relation_name,
        {{ last_entry(relation_name, published) }} + 1,
        (select coalesce(max(completed.load_number), 0) from {{ granary_table('loads') }} as completed),
        code.fingerprint
    from {{ granary_table('code') }} as code
    where code.relation_name = '{{ relation_name }}'
{%- endmacro %}

{# The answer to a question about the ledger, which decides whether a relation is built in full or refused, and nothing else of
   what is sent: statements with such questions may be sent again for the next batch (warehouse/build/compiled.py). #}
{% macro ask_ledger(query) -%}
    {{ return(run_query('/* ledger */ ' ~ query)) }}
{%- endmacro %}

{# Whether the code of `relation_name` is not the code that it was built with. #}
{% macro code_changed(relation_name, published) -%}
    {%- if not execute -%}{{ return(false) }}{%- endif -%}
    {%- set same = ask_ledger("select count(*) from " ~ granary_table('code') ~ " as code inner join "
        ~ ledger_table('seen', published) ~ " as seen on seen.relation_name = code.relation_name"
        ~ " and seen.fingerprint = code.fingerprint where code.relation_name = '" ~ relation_name
        ~ "' and seen.entry_number = " ~ last_entry(relation_name, published)) -%}
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
