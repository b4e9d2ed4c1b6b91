-- The consents of persons that decide of research, as they are now: since when each was decided, until when it was in
-- force. Drafts, proposals and what was entered in error never decided anything.
with consents as (
    select * from {{ latest_versions(ref('stg_fhir__consents'), 'consent_id') }} as latest
),

versions as (
    select
        consent_id,
        valid_at,
        status in ('inactive', 'rejected') as is_over,
        max(case when status not in ('inactive', 'rejected') then valid_at end) over (partition by consent_id)
            as last_in_force_at,
        min(valid_at) over (partition by consent_id) as first_valid_at
    from {{ ref('stg_fhir__consents') }}
    where not is_deleted
),

-- Since when it is said that it is over, for good.
ends as (
    select
        consent_id,
        min(first_valid_at) as first_valid_at,
        min(case when is_over and valid_at >= coalesce(last_in_force_at, valid_at) then valid_at end) as ended_at
    from versions
    group by consent_id
),

bases as (
    select
        consents.consent_id,
        provisions.purpose_codes
    from consents
    inner join {{ ref('stg_fhir__consent_provisions') }} as provisions
        on
            consents.consent_id = provisions.consent_id
            and consents.valid_at = provisions.valid_at
            and consents.source_revision = provisions.source_revision
            and consents.load_id = provisions.load_id
    where provisions.provision_index = -1
)

select
    consents.consent_id,
    consents.patient_id,
    consents.status,
    persons.patient_key,
    consents.valid_at as said_at,
    coalesce(consents.consented_at, ends.first_valid_at) as decided_at,
    case
        when consents.status = 'rejected' then coalesce(consents.consented_at, ends.first_valid_at)
        when consents.status = 'inactive' then ends.ended_at
    end as ended_at,
    coalesce(consents.has_deeper_provisions, false) as has_deeper_provisions
from consents
inner join ends on consents.consent_id = ends.consent_id
inner join {{ ref('int_patients__records') }} as persons
    on consents.patient_id = persons.patient_id and persons.source_id = 'fhir'
left join bases on consents.consent_id = bases.consent_id
where
    consents.status in ('active', 'inactive', 'rejected')
    and (
        coalesce(consents.scope_code, '') = 'research'
        or {{ is_for_research("coalesce(bases.purpose_codes, '')") }}
        -- One that names neither is of everything, and so of research. What one of another scope denies without a
        -- purpose is denied of everything, too; what it permits, int_consents__rules takes for a part.
        or (coalesce(bases.purpose_codes, '') = '' and coalesce(consents.scope_code, '') not in ('treatment', 'adr'))
    )
