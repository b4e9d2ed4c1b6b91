{#  The source table holds no row that breaks its own contract (`config.meta.contract` beside each column), as
    ingestion judges it: values after trimming and folding. Rows that delete a record need only its key. Direct identifiers
    were judged before tokens took their place: here no token may look like an address.

    Failing rows: the rows of raw that should have been rejects. #}
{% test follows_contract(model) %}
    {%- set table = namespace(node=none) -%}
    {%- for node in (graph.sources.values() if execute else []) if node.relation_name == model | string -%}
        {%- set table.node = node -%}
    {%- endfor -%}
    {%- set broken = [] -%}
    {%- for column in (table.node.columns.values() if table.node else []) -%}
        {%- set rules = column.config.meta.get('contract', {}) -%}
        {%- set name = adapter.quote(column.name) -%}
        {%- if rules.get('required') -%}
            {%- do broken.append(name ~ ' is null') -%}
        {%- endif -%}
        {%- if rules.get('accepted_values') -%}
            {%- set listed = rules.accepted_values | map('string') | map('lower') | map('replace', "'", "''") | join("', '") -%}
            {%- do broken.append(folded(name) ~ " not in ('" ~ listed ~ "')") -%}
        {%- endif -%}
        {%- if rules.get('minimum') is not none -%}
            {%- do broken.append(name ~ ' < ' ~ rules.minimum) -%}
        {%- endif -%}
        {%- if rules.get('largest') is not none -%}
            {%- do broken.append(name ~ ' not between -' ~ rules.largest ~ ' and ' ~ rules.largest) -%}
        {%- endif -%}
        {%- if column.data_type in ['date', 'timestamp'] -%}
            {%- do broken.append('cast(' ~ name ~ " as date) not between cast('"
                ~ rules.get('earliest', var('calendar').earliest) ~ "' as date) and cast('"
                ~ rules.get('latest', var('calendar').latest) ~ "' as date)") -%}
        {%- endif -%}
        {%- if column.config.meta.privacy == 'direct_identifier' -%}
            {%- do broken.append(name ~ " like '%@%'") -%}
        {%- endif -%}
    {%- endfor -%}

    select *
    from {{ model }}
    where
        _operation <> 'D'
        and ({{ broken | join('\n            or ') if broken else '1 = 0' }})
{% endtest %}
