{# Made from views/consent_provisions.json by `make fhir-view`: change that. #}
{% set provision_paths = [['type'], ['period', 'start'], ['period', 'end'], ['dataPeriod', 'start'],
    ['dataPeriod', 'end']] %}
{% set each_2_paths = [['type'], ['period', 'start'], ['period', 'end'], ['dataPeriod', 'start'], ['dataPeriod',
    'end']] %}
{% set each_4_paths = [['type'], ['period', 'start'], ['period', 'end'], ['dataPeriod', 'start'], ['dataPeriod',
    'end']] %}
with source as (
    select * from {{ source('fhir', 'consents') }}
    where {{ from_completed_load() }}
),

each_1 as (
    select * from source
    where ({{ json_place_text('provision', []) }} is not null)
),

each_2 as (
    select source.*, each_2_rows.each_2, each_2_rows.each_2_position
    from source
    cross join lateral {{ json_rows(json_place_list('source.provision', ['provision']), 'each_2') }}
),

each_3 as (
    select source.*, each_3_rows.each_3, each_3_rows.each_3_position
    from source
    cross join lateral {{ json_rows(json_place_list('source.provision', ['provision']), 'each_3') }}
),

each_4 as (
    select each_3.*, each_4_rows.each_4, each_4_rows.each_4_position
    from each_3
    cross join lateral {{ json_rows(json_value_list('each_3.each_3', ['provision']), 'each_4') }}
),

renamed as (
    select
        id as consent_id,
        patient_id,
        cast((-1) as bigint) as provision_index,
        cast((-1) as bigint) as subprovision_index,
        {{ json_places_text('provision', provision_paths, 1) }} as provision_type,
        {{ json_places_text('provision', provision_paths, 2) }} as started_text,
        {{ json_places_text('provision', provision_paths, 3) }} as ended_text,
        {{ json_places_text('provision', provision_paths, 4) }} as data_started_text,
        {{ json_places_text('provision', provision_paths, 5) }} as data_ended_text,
        {{ json_joined(json_children(json_children(json_place_list('provision', ['action']), 'coding'), 'code'),
            "','") }} as action_codes,
        {{ json_joined(json_children(json_place_list('provision', ['purpose']), 'code'),
            "','") }} as purpose_codes,
        {{ json_joined(json_children(json_place_list('provision', ['class']), 'code'), "','") }} as class_codes,
        {{ json_joined(json_children(json_children(json_place_list('provision', ['code']), 'coding'), 'code'),
            "','") }} as data_codes,
        {{ json_joined(json_children(json_place_list('provision', ['securityLabel']), 'code'),
            "','") }} as security_label_codes,
        {{ json_joined(json_children(json_children(json_place_list('provision', ['actor']), 'reference'),
            'reference'), "','") }} as actor_references,
        {{ json_joined(json_children(json_children(json_children(json_place_list('provision', ['actor']),
            'role'), 'coding'), 'code'), "','") }} as actor_role_codes,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from each_1
    union all
    select
        id as consent_id,
        patient_id,
        cast((each_2_position - 1) as bigint) as provision_index,
        cast((-1) as bigint) as subprovision_index,
        {{ json_values_text('each_2', each_2_paths, 1) }} as provision_type,
        {{ json_values_text('each_2', each_2_paths, 2) }} as started_text,
        {{ json_values_text('each_2', each_2_paths, 3) }} as ended_text,
        {{ json_values_text('each_2', each_2_paths, 4) }} as data_started_text,
        {{ json_values_text('each_2', each_2_paths, 5) }} as data_ended_text,
        {{ json_joined(json_children(json_children(json_value_list('each_2', ['action']), 'coding'), 'code'),
            "','") }} as action_codes,
        {{ json_joined(json_children(json_value_list('each_2', ['purpose']), 'code'), "','") }} as purpose_codes,
        {{ json_joined(json_children(json_value_list('each_2', ['class']), 'code'), "','") }} as class_codes,
        {{ json_joined(json_children(json_children(json_value_list('each_2', ['code']), 'coding'), 'code'),
            "','") }} as data_codes,
        {{ json_joined(json_children(json_value_list('each_2', ['securityLabel']), 'code'),
            "','") }} as security_label_codes,
        {{ json_joined(json_children(json_children(json_value_list('each_2', ['actor']), 'reference'),
            'reference'), "','") }} as actor_references,
        {{ json_joined(json_children(json_children(json_children(json_value_list('each_2', ['actor']), 'role'),
            'coding'), 'code'), "','") }} as actor_role_codes,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from each_2
    union all
    select
        id as consent_id,
        patient_id,
        cast((each_3_position - 1) as bigint) as provision_index,
        cast((each_4_position - 1) as bigint) as subprovision_index,
        {{ json_values_text('each_4', each_4_paths, 1) }} as provision_type,
        {{ json_values_text('each_4', each_4_paths, 2) }} as started_text,
        {{ json_values_text('each_4', each_4_paths, 3) }} as ended_text,
        {{ json_values_text('each_4', each_4_paths, 4) }} as data_started_text,
        {{ json_values_text('each_4', each_4_paths, 5) }} as data_ended_text,
        {{ json_joined(json_children(json_children(json_value_list('each_4', ['action']), 'coding'), 'code'),
            "','") }} as action_codes,
        {{ json_joined(json_children(json_value_list('each_4', ['purpose']), 'code'), "','") }} as purpose_codes,
        {{ json_joined(json_children(json_value_list('each_4', ['class']), 'code'), "','") }} as class_codes,
        {{ json_joined(json_children(json_children(json_value_list('each_4', ['code']), 'coding'), 'code'),
            "','") }} as data_codes,
        {{ json_joined(json_children(json_value_list('each_4', ['securityLabel']), 'code'),
            "','") }} as security_label_codes,
        {{ json_joined(json_children(json_children(json_value_list('each_4', ['actor']), 'reference'),
            'reference'), "','") }} as actor_references,
        {{ json_joined(json_children(json_children(json_children(json_value_list('each_4', ['actor']), 'role'),
            'coding'), 'code'), "','") }} as actor_role_codes,
        _operation = 'D' as is_deleted,
        _effective_at as valid_at,
        _revision as source_revision,
        _observed_at as observed_at,
        _load_id as load_id
    from each_4
),

judged as (
    select
        *,
        {{ fhir_precision('started_text') }} as started_precision,
        {{ fhir_precision('ended_text') }} as ended_precision,
        {{ fhir_precision('data_started_text') }} as data_started_precision,
        {{ fhir_precision('data_ended_text') }} as data_ended_precision
    from renamed
),

cleansed as (
    select
        consent_id,
        patient_id,
        provision_index,
        subprovision_index,
        provision_type,
        started_text,
        {{ fhir_at('started_text', 'started_precision') }} as started_at,
        {{ fhir_date('started_text', 'started_precision') }} as started_date,
        started_precision,
        ended_text,
        {{ fhir_at('ended_text', 'ended_precision') }} as ended_at,
        {{ fhir_date('ended_text', 'ended_precision') }} as ended_date,
        ended_precision,
        data_started_text,
        {{ fhir_at('data_started_text', 'data_started_precision') }} as data_started_at,
        {{ fhir_date('data_started_text', 'data_started_precision') }} as data_started_date,
        data_started_precision,
        data_ended_text,
        {{ fhir_at('data_ended_text', 'data_ended_precision') }} as data_ended_at,
        {{ fhir_date('data_ended_text', 'data_ended_precision') }} as data_ended_date,
        data_ended_precision,
        action_codes,
        purpose_codes,
        class_codes,
        data_codes,
        security_label_codes,
        actor_references,
        actor_role_codes,
        is_deleted,
        valid_at,
        source_revision,
        observed_at,
        load_id
    from judged
)

select * from cleansed
