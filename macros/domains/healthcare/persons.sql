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

{#  A select of the person of each record, and since when: source_id, patient_id, person_key, rule, valid_from, valid_to.

    A record has one row for each interval in which its person stayed the same: several only where a match or a decision
    came, or was taken back. A person's key is made of the least of its records, and the rule is the surest that joins the
    record with that one, or that one with another.

    records: as for `person_keys`, one row for each record.
    pairs: a relation of matches and decisions: left_source_id, left_patient_id, right_source_id, right_patient_id,
        verdict ('match' or 'apart'), valid_from, valid_to. #}
{% macro person_identities(records, pairs) -%}
with recursive {{ _person_graph(records, pairs) }}
{{- _person_nodes() }}
    {%- for rule in person_rules() %},
    {{ _person_tier(loop.index, rule) }}
    {%- endfor %},

    persons as (
        select
            nodes.record_number,
            nodes.valid_from,
            least_records.source_id as person_source_id,
            least_records.patient_id as person_patient_id,
            case
                {%- for rule in person_rules() %}
                when
                    tier_{{ loop.index }}.cluster_size > 1
                    and tier_{{ loop.index }}.cluster = tier_{{ person_rules() | length }}.cluster
                    then '{{ rule['rule'] }}'
                {%- endfor %}
                else 'alone'
            end as rule
        from nodes
        {%- for rule in person_rules() %}
        inner join tier_{{ loop.index }} on nodes.node = tier_{{ loop.index }}.node
        {%- endfor %}
        inner join nodes as least_nodes on tier_{{ person_rules() | length }}.cluster = least_nodes.node
        inner join numbered as least_records on least_nodes.record_number = least_records.record_number
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
        inner join numbered on changed.record_number = numbered.record_number
    )

    select
        records.source_id,
        records.patient_id,
        {{ surrogate_key([
            "'person'", 'coalesce(linked.person_source_id, records.source_id)',
            'coalesce(linked.person_patient_id, records.patient_id)'
        ]) }} as person_key,
        coalesce(linked.rule, 'alone') as rule,
        coalesce(linked.valid_from, {{ beginning_of_time() }}) as valid_from,
        coalesce(linked.next_valid_from, {{ end_of_time() }}) as valid_to
    from {{ records }} as records
    left join linked on records.source_id = linked.source_id and records.patient_id = linked.patient_id
{%- endmacro %}

{# CTEs: the records that share anything, numbered in order, and what they share. #}
{% macro _person_graph(records, pairs) %}
    keyed as (
        {{ person_keys(records) }}
    ),

    shared_keys as (
        select tier, shared_key from keyed
        group by tier, shared_key
        having count(*) between 2 and {{ largest_person() }}
    ),

    sharing as (
        select
            keyed.source_id,
            keyed.patient_id,
            keyed.tier,
            keyed.shared_key
        from keyed
        inner join shared_keys on keyed.tier = shared_keys.tier and keyed.shared_key = shared_keys.shared_key
    ),

    told_pairs as (
        select * from {{ pairs }}
    ),

    concerned as (
        select source_id, patient_id from sharing
        union
        select left_source_id, left_patient_id from told_pairs
        union
        select right_source_id, right_patient_id from told_pairs
    ),

    -- Numbers in the order of what the records are called: the least number of a person's is that of its least record.
    numbered as (
        select
            records.source_id,
            records.patient_id,
            records.ssn_token,
            records.given_name_token,
            row_number() over (
                order by {{ binary_order('records.source_id') }}, {{ binary_order('records.patient_id') }}
            ) as record_number
        from {{ records }} as records
        inner join concerned
            on records.source_id = concerned.source_id and records.patient_id = concerned.patient_id
    ),

    -- A key that several share joins each of them with the least.
    rule_links as (
        select
            sharing.tier,
            min(numbered.record_number) over (partition by sharing.tier, sharing.shared_key) as left_number,
            numbered.record_number as right_number
        from sharing
        inner join numbered on sharing.source_id = numbered.source_id and sharing.patient_id = numbered.patient_id
    ),

    pair_links as (
        select
            told_pairs.verdict,
            lefts.record_number as left_number,
            rights.record_number as right_number,
            told_pairs.valid_from,
            told_pairs.valid_to
        from told_pairs
        inner join numbered as lefts
            on told_pairs.left_source_id = lefts.source_id and told_pairs.left_patient_id = lefts.patient_id
        inner join numbered as rights
            on told_pairs.right_source_id = rights.source_id and told_pairs.right_patient_id = rights.patient_id
    ),
{%- endmacro %}

{#  CTEs: records whose person may have changed are there once for each time at which it may have. Only what is linked at any
    time, which is a family, has such times in common. #}
{% macro _person_nodes() %}
    all_links as (
        select left_number as here, right_number as there from rule_links
        where left_number <> right_number
        union
        select right_number, left_number from rule_links
        where left_number <> right_number
        union
        select left_number, right_number from pair_links
        where verdict = 'match'
        union
        select right_number, left_number from pair_links
        where verdict = 'match'
    ),

    reached as (
        select record_number, record_number as least_number from numbered
        union
        select all_links.there, reached.least_number
        from reached
        inner join all_links on reached.record_number = all_links.here
        where reached.least_number < all_links.there
    ),

    families as (
        select record_number, min(least_number) as family from reached
        group by record_number
    ),

    -- A decision about two who were never one person says nothing.
    family_pairs as (
        select pair_links.*, families.family
        from pair_links
        inner join families on pair_links.left_number = families.record_number
        inner join families as others on pair_links.right_number = others.record_number
        where families.family = others.family
    ),

    times as (
        select family, {{ beginning_of_time() }} as valid_from from families
        union
        select family, valid_from from family_pairs
        union
        select family, valid_to from family_pairs
        where valid_to < {{ end_of_time() }}
    ),

    epochs as (
        select
            family,
            valid_from,
            lead(valid_from, 1, {{ end_of_time() }}) over (partition by family order by valid_from) as valid_to
        from times
    ),

    nodes as (
        select
            row_number() over (order by numbered.record_number, epochs.valid_from) as node,
            numbered.record_number,
            numbered.ssn_token,
            numbered.given_name_token,
            epochs.valid_from,
            epochs.valid_to
        from numbered
        inner join families on numbered.record_number = families.record_number
        inner join epochs on families.family = epochs.family
    ),

    node_links as (
        select rule_links.tier, lefts.node as here, rights.node as there
        from rule_links
        inner join nodes as lefts on rule_links.left_number = lefts.record_number
        inner join nodes as rights
            on rule_links.right_number = rights.record_number and lefts.valid_from = rights.valid_from
        where rule_links.left_number <> rule_links.right_number
        union all
        select
            case when family_pairs.verdict = 'match' then {{ person_rules() | length }} else 0 end,
            lefts.node,
            rights.node
        from family_pairs
        inner join nodes as lefts
            on
                family_pairs.left_number = lefts.record_number
                and family_pairs.valid_from <= lefts.valid_from
                and family_pairs.valid_to > lefts.valid_from
        inner join nodes as rights
            on family_pairs.right_number = rights.record_number and lefts.valid_from = rights.valid_from
    ),

    tier_0 as (
        select node, node as cluster, 1 as cluster_size from nodes
    )
{%- endmacro %}

{# CTEs of one tier: the clusters of the tier before, joined where that contradicts nothing. #}
{% macro _person_tier(tier, rule) -%}
    {%- set before = 'tier_' ~ (tier - 1) %}
    cluster_links_{{ tier }} as (
        select lefts.cluster as here, rights.cluster as there
        from node_links
        inner join {{ before }} as lefts on node_links.here = lefts.node
        inner join {{ before }} as rights on node_links.there = rights.node
        where node_links.tier = {{ tier }} and lefts.cluster <> rights.cluster
        union
        select rights.cluster, lefts.cluster
        from node_links
        inner join {{ before }} as lefts on node_links.here = lefts.node
        inner join {{ before }} as rights on node_links.there = rights.node
        where node_links.tier = {{ tier }} and lefts.cluster <> rights.cluster
    ),

    reached_{{ tier }} as (
        select here as cluster, here as least_cluster from cluster_links_{{ tier }}
        union
        select links.there, reached.least_cluster
        from reached_{{ tier }} as reached
        inner join cluster_links_{{ tier }} as links on reached.cluster = links.here
        where reached.least_cluster < links.there
    ),

    joined_{{ tier }} as (
        select cluster, min(least_cluster) as joined from reached_{{ tier }}
        group by cluster
    ),

    contradicted_{{ tier }} as (
        select lefts.joined
        from node_links
        inner join {{ before }} as left_clusters on node_links.here = left_clusters.node
        inner join {{ before }} as right_clusters on node_links.there = right_clusters.node
        inner join joined_{{ tier }} as lefts on left_clusters.cluster = lefts.cluster
        inner join joined_{{ tier }} as rights on right_clusters.cluster = rights.cluster
        where node_links.tier = 0 and lefts.joined = rights.joined and lefts.cluster <> rights.cluster
        {%- for column in rule['apart'] %}
        union
        select joined_{{ tier }}.joined
        from nodes
        inner join {{ before }} as clusters on nodes.node = clusters.node
        inner join joined_{{ tier }} on clusters.cluster = joined_{{ tier }}.cluster
        where nodes.{{ column }} is not null
        group by joined_{{ tier }}.joined
        having count(distinct clusters.cluster) > 1
        {%- endfor %}
    ),

    tier_{{ tier }} as (
        select
            clusters.node,
            case
                when joined.joined is null or contradicted.joined is not null then clusters.cluster
                else joined.joined
            end as cluster,
            count(*) over (
                partition by case
                    when joined.joined is null or contradicted.joined is not null then clusters.cluster
                    else joined.joined
                end
            ) as cluster_size
        from {{ before }} as clusters
        left join joined_{{ tier }} as joined on clusters.cluster = joined.cluster
        left join (select distinct contradicted_{{ tier }}.joined from contradicted_{{ tier }}) as contradicted
            on joined.joined = contradicted.joined
    )
{%- endmacro %}
