{#  Which records of sources are one person's, by the rules of docs/decisions/persons.md.

    The rules are tiers, the surest first. Each joins the clusters that the tiers before it left wherever a key of its own is
    equal, and not where what it would join contradicts itself: all that the tier joins there stays apart then, which is
    the same whichever record came first. #}

{# The rules by which a key is equal, in order: its parts, and what keeps clusters apart that it would join. #}
{% macro person_rules() -%}
    {% set full_name = ['given_name_token', 'family_name_token'] -%}
    {{ return([
        {'rule': 'ssn', 'keys': [['ssn_token']], 'apart': []},
        {'rule': 'name_birth_address', 'apart': [],
            'keys': [full_name + ['birth_day', 'postal_code'], full_name + ['birth_day', 'street_token']]},
        {'rule': 'name_birth', 'keys': [full_name + ['birth_day']], 'apart': ['ssn_token']},
        {'rule': 'family_birth_postal', 'keys': [['family_name_token', 'birth_day', 'postal_code']],
            'apart': ['ssn_token', 'given_name_token']},
        {'rule': 'match', 'keys': [], 'apart': []},
    ]) }}
{%- endmacro %}

{# So many records at most have a key in common. What more have names nobody: a number that a form was filled with. #}
{% macro largest_person() -%}{{ return(20) }}{%- endmacro %}

{#  The keys of records by the rules, as a select of source_id, patient_id, tier and shared_key, none of them null.

    records: a relation with source_id, patient_id, ssn_token, given_name_token, family_name_token, birth_date (text, as
        precisely as it is known: a day counts, a month or a year says too little), street_token, postal_code. #}
{% macro person_keys(records) -%}
    {%- for rule in person_rules() -%}
    {%- set tier = loop.index -%}
    {%- for parts in rule['keys'] %}
    select source_id, patient_id, {{ tier }} as tier, {{ _person_key(parts) }} as shared_key
    from {{ records }}
    where {{ _person_parts(parts) | join(' is not null and ') }} is not null
    {{ 'union all' if tier < person_rules() | length - 1 or not loop.last }}
    {%- endfor -%}
    {%- endfor -%}
{%- endmacro %}

{% macro _person_parts(parts) -%}
    {%- set columns = [] -%}
    {%- for part in parts -%}
        {%- do columns.append("case when length(birth_date) = 10 then birth_date end" if part == 'birth_day' else part) -%}
    {%- endfor -%}
    {{ return(columns) }}
{%- endmacro %}

{# The parts' names are in it: a postal code and a street that are written alike are two keys. #}
{% macro _person_key(parts) -%}{{ surrogate_key(["'" ~ parts | join(' ') ~ "'"] + _person_parts(parts)) }}{%- endmacro %}

{#  For a `pre_hook`: statements that link records to persons in temporary tables, from which `person_identities` selects.

    Each step is a table of its own: as one statement, in which each tier asks for the one before several times, DuckDB 1.5
    planned it to be computed over and over, and Postgres would have no statistics to plan it by.

    records: as for `person_keys`, one row for each record.
    pairs: a relation of matches and decisions: left_source_id, left_patient_id, right_source_id, right_patient_id,
        verdict ('match' or 'apart'), valid_from, valid_to. #}
{% macro link_persons(records, pairs) -%}
    {{- _number_records(records, pairs) -}}
    {{- _make_nodes() -}}
    {%- for rule in person_rules() -%}
    {{- _join_tier(loop.index, rule) -}}
    {%- endfor -%}
{%- endmacro %}

{#  A select of the person of each record, and since when: source_id, patient_id, person_key, rule, valid_from, valid_to,
    is_current.

    A record has one row for each interval in which its person stayed the same: several only where a match or a decision
    came, or was taken back. A person's key is made of the least of its records, and the rule is the surest that joins the
    record with that one, or that one with another.

    records: those that `link_persons` linked before. #}
{% macro person_identities(records) -%}
with persons as (
    select
        nodes.record_number,
        nodes.valid_from,
        least_records.source_id as person_source_id,
        least_records.patient_id as person_patient_id,
        case
            {%- for rule in person_rules() %}
            when tier_{{ loop.index }}.cluster_size > 1 and tier_{{ loop.index }}.cluster = last_tier.cluster
                then '{{ rule['rule'] }}'
            {%- endfor %}
            else 'alone'
        end as rule
    from {{ _step('nodes') }} as nodes
    {%- for rule in person_rules() %}
    inner join {{ _step('tier_' ~ loop.index) }} as tier_{{ loop.index }} on nodes.node = tier_{{ loop.index }}.node
    {%- endfor %}
    inner join {{ _step('tier_' ~ person_rules() | length) }} as last_tier on nodes.node = last_tier.node
    inner join {{ _step('nodes') }} as least_nodes on last_tier.cluster = least_nodes.node
    inner join {{ _step('numbered') }} as least_records on least_nodes.record_number = least_records.record_number
),

compared as (
    select
        persons.*,
        lag(person_source_id) over (partition by record_number order by valid_from) as source_id_before,
        lag(person_patient_id) over (partition by record_number order by valid_from) as patient_id_before,
        lag(rule) over (partition by record_number order by valid_from) as rule_before
    from persons
),

-- Neighbours that are equal are one interval.
changed as (
    select
        record_number,
        person_source_id,
        person_patient_id,
        rule,
        valid_from,
        lead(valid_from) over (partition by record_number order by valid_from) as next_valid_from
    from compared
    where
        source_id_before is distinct from person_source_id
        or patient_id_before is distinct from person_patient_id
        or rule_before is distinct from rule
),

linked as (
    select
        numbered.source_id,
        numbered.patient_id,
        changed.person_source_id,
        changed.person_patient_id,
        changed.rule,
        changed.valid_from,
        changed.next_valid_from
    from changed
    inner join {{ _step('numbered') }} as numbered on changed.record_number = numbered.record_number
)

select
    records.source_id,
    records.patient_id,
    {{ person_key(
        'coalesce(linked.person_source_id, records.source_id)', 'coalesce(linked.person_patient_id, records.patient_id)'
    ) }} as person_key,
    coalesce(linked.rule, 'alone') as rule,
    coalesce(linked.valid_from, {{ beginning_of_time() }}) as valid_from,
    coalesce(linked.next_valid_from, {{ end_of_time() }}) as valid_to,
    linked.next_valid_from is null as is_current
from {{ records }} as records
left join linked on records.source_id = linked.source_id and records.patient_id = linked.patient_id
{%- endmacro %}

{#  A person's key by the least of its records. A record is a person by itself, as long as nothing joins it with another, and
    so is one that nothing is known of. #}
{% macro person_key(source_id, patient_id) -%}{{ surrogate_key(["'person'", source_id, patient_id]) }}{%- endmacro %}

{# A temporary table of the model that is built. #}
{% macro _step(name) -%}{{ return(name ~ '__' ~ model.name) }}{%- endmacro %}

{% macro _made(name) -%}
    drop table if exists {{ _step(name) }};
    create temporary table {{ _step(name) }} as
    {{ caller() }};
    {{ analyze_table(_step(name)) }};
{%- endmacro %}

{# Tables: the records that share anything, numbered in order, and what they share. #}
{% macro _number_records(records, pairs) %}
    {% call _made('sharing') %}
    with keyed as (
        {{ person_keys(records) }}
    ),

    shared_keys as (
        select tier, shared_key from keyed
        group by tier, shared_key
        having count(*) between 2 and {{ largest_person() }}
    )

    select
        keyed.source_id,
        keyed.patient_id,
        keyed.tier,
        keyed.shared_key
    from keyed
    inner join shared_keys on keyed.tier = shared_keys.tier and keyed.shared_key = shared_keys.shared_key
    {%- endcall %}
    {% call _made('told_pairs') %}
    select * from {{ pairs }}
    {%- endcall %}
    {#- Numbers in the order of what records are called: the least number of a person's is that of its least record. #}
    {% call _made('numbered') %}
    with concerned as (
        select source_id, patient_id from {{ _step('sharing') }}
        union
        select left_source_id, left_patient_id from {{ _step('told_pairs') }}
        union
        select right_source_id, right_patient_id from {{ _step('told_pairs') }}
    )

    select
        records.source_id,
        records.patient_id,
        records.ssn_token,
        records.given_name_token,
        row_number() over (
            order by {{ binary_order('records.source_id') }}, {{ binary_order('records.patient_id') }}
        ) as record_number
    from {{ records }} as records
    inner join concerned on records.source_id = concerned.source_id and records.patient_id = concerned.patient_id
    {%- endcall %}
    {#- A key that several share joins each of them with the least. #}
    {% call _made('rule_links') %}
    with shared as (
        select
            sharing.tier,
            min(numbered.record_number) over (partition by sharing.tier, sharing.shared_key) as left_number,
            numbered.record_number as right_number
        from {{ _step('sharing') }} as sharing
        inner join {{ _step('numbered') }} as numbered
            on sharing.source_id = numbered.source_id and sharing.patient_id = numbered.patient_id
    )

    select * from shared
    where left_number <> right_number
    {%- endcall %}
    {% call _made('pair_links') %}
    select
        told_pairs.verdict,
        lefts.record_number as left_number,
        rights.record_number as right_number,
        told_pairs.valid_from,
        told_pairs.valid_to
    from {{ _step('told_pairs') }} as told_pairs
    inner join {{ _step('numbered') }} as lefts
        on told_pairs.left_source_id = lefts.source_id and told_pairs.left_patient_id = lefts.patient_id
    inner join {{ _step('numbered') }} as rights
        on told_pairs.right_source_id = rights.source_id and told_pairs.right_patient_id = rights.patient_id
    {%- endcall %}
{%- endmacro %}

{#  A table of what is reached over links: each of what is linked, with the least that is linked with it.

    links: a table with here and there, each link in both directions. #}
{% macro _make_reached(name, links) %}
    {% call _made(name) %}
    with recursive reached as (
        select here as member, here as least_member from {{ links }}
        union
        select links.there, reached.least_member
        from reached
        inner join {{ links }} as links on reached.member = links.here
        where reached.least_member < links.there
    )

    select member, min(least_member) as least_member from reached
    group by member
    {%- endcall %}
{%- endmacro %}

{#  Tables: nodes, of which a record whose person may have changed has one for each time at which it may have, and links
    between them. Only what is linked at any time, which is a family, has such times in common. #}
{% macro _make_nodes() %}
    {% call _made('all_links') %}
    select left_number as here, right_number as there from {{ _step('rule_links') }}
    union
    select right_number, left_number from {{ _step('rule_links') }}
    union
    select left_number, right_number from {{ _step('pair_links') }}
    where verdict = 'match'
    union
    select right_number, left_number from {{ _step('pair_links') }}
    where verdict = 'match'
    {%- endcall %}
    {{- _make_reached('families', _step('all_links')) -}}
    {#- A decision about two who were never one person says nothing. #}
    {% call _made('family_pairs') %}
    select pair_links.*, families.least_member as family
    from {{ _step('pair_links') }} as pair_links
    inner join {{ _step('families') }} as families on pair_links.left_number = families.member
    inner join {{ _step('families') }} as others on pair_links.right_number = others.member
    where families.least_member = others.least_member
    {%- endcall %}
    {% call _made('nodes') %}
    with times as (
        select least_member as family, {{ beginning_of_time() }} as valid_from from {{ _step('families') }}
        union
        select family, valid_from from {{ _step('family_pairs') }}
        union
        select family, valid_to from {{ _step('family_pairs') }}
        where valid_to < {{ end_of_time() }}
    )

    select
        row_number() over (order by numbered.record_number, times.valid_from) as node,
        numbered.record_number,
        numbered.ssn_token,
        numbered.given_name_token,
        times.valid_from
    from {{ _step('numbered') }} as numbered
    inner join {{ _step('families') }} as families on numbered.record_number = families.member
    inner join times on families.least_member = times.family
    {%- endcall %}
    {% call _made('node_links') %}
    select rule_links.tier, lefts.node as here, rights.node as there
    from {{ _step('rule_links') }} as rule_links
    inner join {{ _step('nodes') }} as lefts on rule_links.left_number = lefts.record_number
    inner join {{ _step('nodes') }} as rights
        on rule_links.right_number = rights.record_number and lefts.valid_from = rights.valid_from
    union all
    select
        case when family_pairs.verdict = 'match' then {{ person_rules() | length }} else 0 end,
        lefts.node,
        rights.node
    from {{ _step('family_pairs') }} as family_pairs
    inner join {{ _step('nodes') }} as lefts
        on
            family_pairs.left_number = lefts.record_number
            and family_pairs.valid_from <= lefts.valid_from
            and family_pairs.valid_to > lefts.valid_from
    inner join {{ _step('nodes') }} as rights
        on family_pairs.right_number = rights.record_number and lefts.valid_from = rights.valid_from
    {%- endcall %}
    {% call _made('tier_0') %}
    select node, node as cluster, 1 as cluster_size from {{ _step('nodes') }}
    {%- endcall %}
{%- endmacro %}

{# Tables of one tier: the clusters of the tier before, joined where that contradicts nothing. #}
{% macro _join_tier(tier, rule) -%}
    {%- set before = _step('tier_' ~ (tier - 1)) -%}
    {%- set links = _step('cluster_links_' ~ tier) -%}
    {%- set joined = _step('joined_' ~ tier) %}
    {% call _made('cluster_links_' ~ tier) %}
    with linked as (
        select lefts.cluster as here, rights.cluster as there
        from {{ _step('node_links') }} as node_links
        inner join {{ before }} as lefts on node_links.here = lefts.node
        inner join {{ before }} as rights on node_links.there = rights.node
        where node_links.tier = {{ tier }} and lefts.cluster <> rights.cluster
    )

    select here, there from linked
    union
    select there, here from linked
    {%- endcall %}
    {{- _make_reached('joined_' ~ tier, links) -}}
    {% call _made('tier_' ~ tier) %}
    with contradicted as (
        select lefts.least_member
        from {{ _step('node_links') }} as node_links
        inner join {{ before }} as left_clusters on node_links.here = left_clusters.node
        inner join {{ before }} as right_clusters on node_links.there = right_clusters.node
        inner join {{ joined }} as lefts on left_clusters.cluster = lefts.member
        inner join {{ joined }} as rights on right_clusters.cluster = rights.member
        where node_links.tier = 0 and lefts.least_member = rights.least_member and lefts.member <> rights.member
        {%- for column in rule['apart'] %}
        union
        select joined.least_member
        from {{ _step('nodes') }} as nodes
        inner join {{ before }} as clusters on nodes.node = clusters.node
        inner join {{ joined }} as joined on clusters.cluster = joined.member
        where nodes.{{ column }} is not null
        group by joined.least_member
        having count(distinct joined.member) > 1
        {%- endfor %}
    ),

    joined as (
        select
            clusters.node,
            case when contradicted.least_member is null then joined.least_member end as joined_with,
            clusters.cluster
        from {{ before }} as clusters
        left join {{ joined }} as joined on clusters.cluster = joined.member
        left join contradicted on joined.least_member = contradicted.least_member
    )

    select
        node,
        coalesce(joined_with, cluster) as cluster,
        count(*) over (partition by coalesce(joined_with, cluster)) as cluster_size
    from joined
    {%- endcall %}
{%- endmacro %}
