-- Whose role each version is, and what names the organization that it is for.
select
    roles.*,
    named.practitioner_id as named_practitioner_id,
    {{ named_beside_reference('roles.organization_id', 'roles.organization_reference',
        'roles.organization_identifier_system', 'roles.organization_identifier') }} as organization_reference_key
from {{ ref('snap_fhir__practitioner_roles') }} as roles
inner join {{ ref('int_practitioners__references') }} as named
    on
        {{ named_beside_reference('roles.practitioner_id', 'roles.practitioner_reference', npi_system(),
            'roles.practitioner_npi') }} = named.reference_key
