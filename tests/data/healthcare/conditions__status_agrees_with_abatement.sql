-- A condition that has an abatement isn't active by its status, and one that is over by its status has one.
-- A warning: readers see what the abatement says, and the clinic has to mend the record.
{{ config(severity='warn', meta={'quality_dimension': 'consistency'}) }}

select
    condition_id,
    clinical_status,
    has_abatement
from {{ ref('fct_conditions') }}
where is_contradicted and not is_entered_in_error and not is_refuted
