-- The rules of consents that say something of research: the base rule (depth 0), its exceptions, and theirs.
with consents as (
    select * from {{ latest_versions(ref('stg_fhir__consents'), 'consent_id') }} as latest
),

-- Those of the consent's latest version: what an earlier one excepted is excepted no more.
provisions as (
    select
        provisions.*,
        consents.policy_rule_code,
        consents.scope_code,
        max(case when provisions.provision_index = -1 then provisions.purpose_codes end) over (
            partition by provisions.consent_id
        ) as base_purpose_codes
    from {{ ref('stg_fhir__consent_provisions') }} as provisions
    inner join consents
        on
            provisions.consent_id = consents.consent_id
            and provisions.valid_at = consents.valid_at
            and provisions.source_revision = consents.source_revision
            and provisions.load_id = consents.load_id
),

-- A base rule that doesn't say is what the policy is; another rule, and one without a policy, a denial.
judged as (
    select
        consent_id,
        provision_index,
        subprovision_index,
        case when provision_index = -1 then 0 when subprovision_index = -1 then 1 else 2 end as depth,
        coalesce(
            provision_type,
            case when provision_index = -1 and policy_rule_code in ('OPTIN', 'OPTINR') then 'permit' end,
            'deny'
        ) <> 'permit' as is_denial,
        started_text,
        started_at,
        ended_text,
        case
            when ended_precision = 'day' then {{ local_to_utc(add_days('ended_date', 1), var('business_timezone')) }}
            else ended_at
        end as holds_until,
        coalesce(purpose_codes, '') = '' or {{ is_for_research('purpose_codes') }} as is_for_research,
        coalesce(
            nullif(class_codes, ''), nullif(data_codes, ''), nullif(security_label_codes, ''),
            nullif(actor_references, ''), nullif(actor_role_codes, ''), data_started_text, data_ended_text
        ) is not null as is_of_some,
        -- What names no purpose in a consent of another scope, such as to privacy, may mean anything but research.
        coalesce(purpose_codes, '') = ''
        and coalesce(scope_code, 'research') <> 'research'
        and not {{ is_for_research("coalesce(base_purpose_codes, '')") }} as is_of_another_scope
    from provisions
)

select
    consent_id,
    provision_index,
    subprovision_index,
    depth,
    is_denial,
    is_of_some or (is_of_another_scope and not is_denial) as is_partial,
    started_text,
    started_at,
    ended_text,
    holds_until
from judged
where is_for_research
