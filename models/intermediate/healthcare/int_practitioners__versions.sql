{%- set tracked = [
    'national_provider_identifier', 'family_name_token', 'given_name_token', 'gender', 'specialty_code',
    'specialty_system', 'specialty_display', 'organization_reference_key', 'role_count', 'is_inactive', 'is_deleted',
] -%}

with practitioners as (
    select * from {{ ref('snap_fhir__practitioners') }}
),

roles as (
    select * from {{ ref('int_practitioner_roles__named') }}
    where not is_deleted and not coalesce(is_inactive, false)
),

instants as (
    select practitioner_id, valid_from from practitioners
    union
    select named_practitioner_id, valid_from from roles
    union
    -- A role that ends leaves a practitioner with the others.
    select named_practitioner_id, valid_to from roles
    where valid_to < {{ end_of_time() }}
),

-- Of several roles at once, the one with the least id.
ranked as (
    select
        instants.practitioner_id,
        instants.valid_from,
        roles.specialty_code,
        roles.specialty_system,
        roles.specialty_display,
        roles.organization_reference_key,
        count(*) over (partition by instants.practitioner_id, instants.valid_from) as role_count,
        row_number() over (
            partition by instants.practitioner_id, instants.valid_from
            order by {{ binary_order('roles.practitioner_role_id') }}
        ) as place
    from instants
    inner join roles
        on
            instants.practitioner_id = roles.named_practitioner_id
            and instants.valid_from >= roles.valid_from
            and instants.valid_from < roles.valid_to
),

states as (
    select
        practitioners.practitioner_id,
        instants.valid_from,
        practitioners.national_provider_identifier,
        practitioners.family_name_token,
        practitioners.given_name_token,
        practitioners.gender,
        ranked.specialty_code,
        ranked.specialty_system,
        ranked.specialty_display,
        ranked.organization_reference_key,
        coalesce(ranked.role_count, 0) as role_count,
        coalesce(practitioners.is_inactive, false) as is_inactive,
        practitioners.is_deleted
    from instants
    inner join practitioners
        on
            instants.practitioner_id = practitioners.practitioner_id
            and instants.valid_from >= practitioners.valid_from
            and instants.valid_from < practitioners.valid_to
    left join ranked
        on
            instants.practitioner_id = ranked.practitioner_id
            and instants.valid_from = ranked.valid_from
            and ranked.place = 1
)

{{ merged_neighbours('states', 'practitioner_id', tracked) }}
