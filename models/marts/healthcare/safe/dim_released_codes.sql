-- Codes of systems that everybody has; a code of a source's own might be anything.
select
    code_key,
    code,
    code_system
from {{ ref('dim_codes') }}
where
    code_system in (
        'http://loinc.org', 'http://snomed.info/sct', 'http://www.nlm.nih.gov/research/umls/rxnorm',
        'http://hl7.org/fhir/sid/cvx', 'http://hl7.org/fhir/sid/icd-10-cm', 'http://hl7.org/fhir/sid/icd-10',
        'http://terminology.hl7.org/CodeSystem/v3-ActCode', 'http://unitsofmeasure.org'
    )
union all
select
    {{ unknown_key() }},
    'unknown',
    'unknown'
