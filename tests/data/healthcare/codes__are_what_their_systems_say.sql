-- A code that says it is LOINC's has LOINC's check digit, and a unit that says it is UCUM's is one that is known.
-- A warning: a source may have codes of its own under a system's name, and readers see which they are.
{{ config(severity='warn', meta={'quality_dimension': 'validity'}) }}

select
    code_system,
    code,
    record_count
from {{ ref('dim_codes') }}
where is_doubtful
