{#  dbt's `snapshot` materialization, replaced: a snapshot is a function of the change log.

    The relation that is snapshotted holds every version of every record. Its columns, beside the record's own:
    `valid_at` (when the version holds from), `source_revision` (the source's order), `observed_at` (when Granary saw it),
    `is_deleted`, `load_id`.
    The snapshot has one row for each interval of a record, with `check_cols` and
    `valid_from`, `valid_to` (half-open; 9999-12-31 where open), `is_current`, `is_deleted`.

    Rules:
    - Of versions at one instant, the highest source revision holds, then what was observed last, then the greatest
      content; the order of loading decides nothing.
    - Neighbours that are equal in `check_cols` and `is_deleted` are one interval.
    - The first interval reaches back to the beginning of time, so that earlier facts find it.
    - Only keys that new loads touched are computed again, whole, from the log. A changed rule or column, or
      a full refresh, computes all.
    - The keys are read from the log, unless `meta.touched_by` names another model, with the same key columns and
      `load_id`: a log that shows only the latest of something no longer names what vanished from it. With
      `meta.touched_records`, the key of that model's records, the keys of all versions of a touched record count: what
      a record was of before is touched too. #}

{% macro beginning_of_time() -%}cast('1900-01-01 00:00:00' as timestamp){%- endmacro %}

{% macro end_of_time() -%}cast('9999-12-31 00:00:00' as timestamp){%- endmacro %}

{% macro history_intervals(relation, keys, tracked, where=none) -%}
    {%- set key_list = keys | join(', ') -%}
    with versions as (
        select
            {{ key_list }},
            {% for column in tracked %}{{ column }}, {% endfor %}
            is_deleted,
            valid_at,
            source_revision,
            observed_at,
            {{ row_hash(tracked + ['is_deleted']) }} as content_hash
        from {{ relation }}
        {%- if where %}
        where {{ where }}
        {%- endif %}
    ),

    ranked as (
        select
            *,
            row_number() over (
                partition by {{ key_list }}, valid_at
                order by source_revision desc, observed_at desc, content_hash desc
            ) as version_rank
        from versions
    ),

    compared as (
        select
            *,
            lag(content_hash) over (partition by {{ key_list }} order by valid_at) as previous_hash
        from ranked
        where version_rank = 1
    ),

    changes as (
        select
            *,
            lead(valid_at) over (partition by {{ key_list }} order by valid_at) as next_valid_at
        from compared
        where previous_hash is null or previous_hash <> content_hash
    )

    select
        {{ key_list }},
        {% for column in tracked %}{{ column }}, {% endfor %}
        case when previous_hash is null then {{ beginning_of_time() }} else valid_at end as valid_from,
        coalesce(next_valid_at, {{ end_of_time() }}) as valid_to,
        next_valid_at is null as is_current,
        is_deleted
    from changes
{%- endmacro %}

{# A select of the keys that loads new to this snapshot touched. #}
{% macro keys_touched_by_new_loads(keys, log_sql) -%}
    {%- set touched_by = (config.get('meta') or {}).get('touched_by') -%}
    {%- set log = model_named(touched_by) if touched_by else {'relation_name': log_sql} -%}
    {%- if not log -%}
        {{ exceptions.raise_compiler_error(model.name ~ ': meta.touched_by names no model: ' ~ touched_by) }}
    {%- endif -%}
    {%- set records = (config.get('meta') or {}).get('touched_records', []) %}
    select distinct {{ keys | join(', ') }}
    from {{ log.relation_name }} as log
    where
        {%- if records %}
        exists (
            select 1
            from {{ log.relation_name }} as fresh
            where
                fresh.load_id in ({{ new_loads(model.name, false) }})
                {%- for column in records %}
                and fresh.{{ column }} = log.{{ column }}
                {%- endfor %}
        )
        {%- else %}
        load_id in ({{ new_loads(model.name, false) }})
        {%- endif %}
        {%- for key in keys %}
        and {{ key }} is not null
        {%- endfor %}
{%- endmacro %}

{% materialization snapshot, default %}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set existing = adapter.get_relation(database=this.database, schema=this.schema, identifier=this.identifier) -%}
    {%- set keys = config.get('unique_key') -%}
    {%- set keys = [keys] if keys is string else keys -%}
    {%- set tracked = config.get('check_cols') -%}
    {%- set relation_sql = '(' ~ compiled_code ~ ')' -%}

    {%- set wanted = keys + tracked + ['valid_from', 'valid_to', 'is_current', 'is_deleted'] -%}
    {%- set present = adapter.get_columns_in_relation(existing) | map(attribute='name') | list if existing else [] -%}
    {%- set same_columns = present | map('lower') | list == wanted -%}
    {%- set in_full = existing is none or not same_columns or should_full_refresh() -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- set all_rows = history_intervals(relation_sql ~ ' as log', keys, tracked) -%}

    {% if in_full and (existing is none or not same_columns) %}
        {% call statement('main') -%}
            {% if existing %}{{ dropped(existing) }};{% endif %}
            create table {{ target_relation }} as (
                {{ all_rows }}
            );
            {{ record_in_ledger() }};
        {%- endcall %}
        {%- do create_history_indexes(target_relation, keys) -%}
    {% elif in_full %}
        {% call statement('main') -%}
            delete from {{ target_relation }};
            insert into {{ target_relation }} ({{ wanted | join(', ') }})
            {{ all_rows }};
            {{ record_in_ledger() }};
        {%- endcall %}
    {% else %}
        {%- set touched = make_temp_relation(target_relation, '__touched') -%}
        {%- set in_touched = 'exists (select 1 from ' ~ touched ~ ' as touched where ' -%}
        {%- set matches = [] -%}
        {%- for key in keys -%}{%- do matches.append('touched.' ~ key ~ ' = log.' ~ key) -%}{%- endfor -%}
        {% call statement('touched') -%}
            {{ create_table_as(True, touched, keys_touched_by_new_loads(keys, relation_sql)) }}
        {%- endcall %}
        {% call statement('main') -%}
            delete from {{ target_relation }} as log
            where {{ in_touched }}{{ matches | join(' and ') }});
            insert into {{ target_relation }} ({{ wanted | join(', ') }})
            {{ history_intervals(relation_sql ~ ' as log', keys, tracked, in_touched ~ matches | join(' and ') ~ ')') }};
            {{ record_in_ledger() }};
        {%- endcall %}
        {% do adapter.drop_relation(touched) %}
    {% endif %}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do persist_docs(target_relation, model) %}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
