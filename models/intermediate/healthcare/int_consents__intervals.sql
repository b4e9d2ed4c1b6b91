-- For each person, from which moment on which consent holds, and whether it allows research.
with decisions as (
    select * from {{ ref('int_consents__decisions') }}
),

rules as (
    select * from {{ ref('int_consents__rules') }}
),

-- What may change what holds: a decision, its end, and each border of a rule.
instants as (
    select patient_key, decided_at as instant from decisions
    union
    select patient_key, ended_at from decisions
    union
    select decisions.patient_key, rules.started_at
    from rules
    inner join decisions on rules.consent_id = decisions.consent_id
    union
    select decisions.patient_key, rules.holds_until
    from rules
    inner join decisions on rules.consent_id = decisions.consent_id
),

-- The decision that was made last holds, whatever it says.
ranked as (
    select
        instants.instant,
        decisions.*,
        row_number() over (
            partition by instants.patient_key, instants.instant
            order by decisions.decided_at desc, decisions.said_at desc, {{ binary_order('decisions.consent_id') }} desc
        ) as place
    from instants
    inner join decisions
        on instants.patient_key = decisions.patient_key and instants.instant >= decisions.decided_at
),

ruling as (
    select
        ranked.*,
        not ranked.has_deeper_provisions
        and (ranked.ended_at is null or ranked.instant < ranked.ended_at) as is_in_force
    from ranked
    where ranked.place = 1
),

holding as (
    select
        ruling.consent_id,
        ruling.instant,
        rules.provision_index,
        rules.depth,
        rules.is_partial,
        case when rules.is_denial then 0 when not rules.is_partial then 1 end as permits
    from ruling
    inner join rules on ruling.consent_id = rules.consent_id
    where {{ holds_moment('rules', 'ruling.instant') }}
),

-- An exception says the opposite of its rule while its period lasts; of several that hold, a denial counts. A permit of
-- some data says nothing, and nor does one within a rule that is of some data; a denial does, wherever it stands.
innermost as (
    select consent_id, instant, provision_index, min(permits) as permits
    from holding
    where depth = 2
    group by consent_id, instant, provision_index
),

exceptions as (
    select
        holding.consent_id,
        holding.instant,
        min(
            case
                when not holding.is_partial or coalesce(innermost.permits, 0) = 0
                    then coalesce(innermost.permits, holding.permits)
            end
        ) as permits
    from holding
    left join innermost
        on
            holding.consent_id = innermost.consent_id
            and holding.instant = innermost.instant
            and holding.provision_index = innermost.provision_index
    where holding.depth = 1
    group by holding.consent_id, holding.instant
),

states as (
    select
        ruling.patient_key,
        ruling.consent_id,
        ruling.patient_id,
        ruling.instant as valid_from,
        ruling.is_in_force and coalesce(exceptions.permits, bases.permits) = 1 and bases.permits is not null
            as is_research_allowed
    from ruling
    left join holding as bases
        on ruling.consent_id = bases.consent_id and ruling.instant = bases.instant and bases.depth = 0
            and not bases.is_partial
    left join exceptions on ruling.consent_id = exceptions.consent_id and ruling.instant = exceptions.instant
)

{{ merged_neighbours('states', 'patient_key', ['consent_id', 'patient_id', 'is_research_allowed']) }}
