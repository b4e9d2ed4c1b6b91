with sources as (
    select * from {{ ref('sources') }}
)

select
    {{ surrogate_key(["'source'", 'source_id']) }} as source_key,
    cast(source_id as {{ dbt.type_string() }}) as source_id,
    cast(source_name as {{ dbt.type_string() }}) as source_name,
    cast(kind as {{ dbt.type_string() }}) as source_kind,
    cast(description as {{ dbt.type_string() }}) as source_description
from sources
