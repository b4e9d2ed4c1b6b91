{#  What FHIRPath asks of JSON. `ingestion/fhirpath` emits these calls, and renders them for DuckDB itself: a macro here
    needs nothing of dbt but `adapter.dispatch` and `return`.

    A place is a JSON text and a path of keys and positions. A collection is a list of JSON values: DuckDB's own, or
    an array of Postgres's jsonb; null counts as no item. FHIR has numbers that no float holds: DuckDB passes fractions
    through one wherever it reads JSON, so more than 15 digits must come as text. #}

{# A path as DuckDB writes it. #}
{% macro json_path(path) -%}
    ${% for step in path %}{% if step is string %}."{{ step }}"{% else %}[{{ step }}]{% endif %}{% endfor %}
{%- endmacro %}

{# A path as Postgres writes it, in an array. #}
{% macro json_steps(path) -%}
    cast(array[{% for step in path %}{{ ", " if not loop.first }}'{{ step }}'{% endfor %}] as text [])
{%- endmacro %}

{#  A JSON text without NUL characters, which Postgres can't keep. The escape is taken out only where its backslash isn't
    itself escaped. Hardly any text has it, and looking for it costs next to nothing. #}
{% macro duckdb__json_plain(text) -%}
    case
        when contains({{ text }}, '\u0000')
            then regexp_replace({{ text }}, '(^|[^\\])((?:\\\\)*)(?:\\u0000)+', '\1\2', 'g')
        else {{ text }}
    end
{%- endmacro %}

{% macro postgres__json_plain(text) -%}
    regexp_replace({{ text }}, '(?<!\\)((?:\\\\)*)\\u0000', '\1', 'g')
{%- endmacro %}

{# The text at a place of a JSON text; null where the path leads nowhere. An object is its JSON. #}
{% macro json_place_text(text, path) -%}
    {{ return(adapter.dispatch('json_place_text', 'granary')(text, path)) }}
{%- endmacro %}

{% macro duckdb__json_place_text(text, path) -%}
    json_extract_string({{ duckdb__json_plain(text) }}, '{{ json_path(path) }}')
{%- endmacro %}

{% macro postgres__json_place_text(text, path) -%}
    cast({{ postgres__json_plain(text) }} as json) #>> {{ json_steps(path) }}
{%- endmacro %}

{#  The text at one of several places of a JSON text, counted from 1.

    DuckDB reads the text once for all of them, and once for all columns of a select that ask with the same list: four
    times as fast as a path at a time. #}
{% macro json_places_text(text, paths, number) -%}
    {{ return(adapter.dispatch('json_places_text', 'granary')(text, paths, number)) }}
{%- endmacro %}

{% macro duckdb__json_places_text(text, paths, number) -%}
    {{ duckdb__json_values_text(duckdb__json_plain(text), paths, number) }}
{%- endmacro %}

{% macro postgres__json_places_text(text, paths, number) -%}
    {{ postgres__json_place_text(text, paths[number - 1]) }}
{%- endmacro %}

{# The same within a value that is JSON already: an item of a collection. #}
{% macro json_values_text(value, paths, number) -%}
    {{ return(adapter.dispatch('json_values_text', 'granary')(value, paths, number)) }}
{%- endmacro %}

{% macro duckdb__json_values_text(value, paths, number) -%}
    json_extract_string(
        {{ value }}, [{% for path in paths %}{{ ", " if not loop.first }}'{{ json_path(path) }}'{% endfor %}]
    )[{{ number }}]
{%- endmacro %}

{% macro postgres__json_values_text(value, paths, number) -%}
    {{ postgres__json_value_text(value, paths[number - 1]) }}
{%- endmacro %}

{# The text at one place of such a value. #}
{% macro json_value_text(value, path) -%}
    {{ return(adapter.dispatch('json_value_text', 'granary')(value, path)) }}
{%- endmacro %}

{% macro duckdb__json_value_text(value, path) -%}
    json_extract_string({{ value }}, '{{ json_path(path) }}')
{%- endmacro %}

{% macro postgres__json_value_text(value, path) -%}({{ value }} #>> {{ json_steps(path) }}){%- endmacro %}

{# The collection at a place of a JSON text: the items of a list, else the value itself. #}
{% macro json_place_items(text, path) -%}
    {{ return(adapter.dispatch('json_place_items', 'granary')(text, path)) }}
{%- endmacro %}

{% macro duckdb__json_place_items(text, path) -%}
    {{ duckdb__json_value_items(duckdb__json_plain(text), path) }}
{%- endmacro %}

{% macro postgres__json_place_items(text, path) -%}
    {{ postgres__json_value_items('cast(' ~ postgres__json_plain(text) ~ ' as jsonb)', path) }}
{%- endmacro %}

{# The same within a value that is JSON already. #}
{% macro json_value_items(value, path) -%}
    {{ return(adapter.dispatch('json_value_items', 'granary')(value, path)) }}
{%- endmacro %}

{% macro duckdb__json_value_items(value, path) -%}
    case json_type({{ value }}, '{{ json_path(path) }}')
        when 'ARRAY' then list_filter(
            json_extract({{ value }}, '{{ json_path(path) }}[*]'), lambda element: json_type(element) <> 'NULL'
        )
        when 'NULL' then cast([] as json [])
        else list_filter([json_extract({{ value }}, '{{ json_path(path) }}')], lambda element: element is not null)
    end
{%- endmacro %}

{% macro postgres__json_value_items(value, path) -%}
    coalesce(
        jsonb_path_query_array({{ value }} #> {{ json_steps(path) }}, 'lax $[*] ? (@ != null)'), cast('[]' as jsonb)
    )
{%- endmacro %}

{#  The same of what is known to be a list of objects: nothing where it is none, and nothing is left out of it. An item
    that is null has no elements. #}
{% macro json_place_list(text, path) -%}
    {{ return(adapter.dispatch('json_place_list', 'granary')(text, path)) }}
{%- endmacro %}

{% macro duckdb__json_place_list(text, path) -%}
    {{ duckdb__json_value_list(duckdb__json_plain(text), path) }}
{%- endmacro %}

{% macro postgres__json_place_list(text, path) -%}
    {{ postgres__json_value_list('cast(' ~ postgres__json_plain(text) ~ ' as jsonb)', path) }}
{%- endmacro %}

{# The same within a value that is JSON already. #}
{% macro json_value_list(value, path) -%}
    {{ return(adapter.dispatch('json_value_list', 'granary')(value, path)) }}
{%- endmacro %}

{% macro duckdb__json_value_list(value, path) -%}
    coalesce(json_extract({{ value }}, '{{ json_path(path) }}[*]'), cast([] as json []))
{%- endmacro %}

{% macro postgres__json_value_list(value, path) -%}
    case
        when jsonb_typeof({{ value }} #> {{ json_steps(path) }}) = 'array' then {{ value }} #> {{ json_steps(path) }}
        else cast('[]' as jsonb)
    end
{%- endmacro %}

{# What the items of a collection have under a key, one after the other. #}
{% macro json_children(items, key) -%}
    {{ return(adapter.dispatch('json_children', 'granary')(items, key)) }}
{%- endmacro %}

{% macro duckdb__json_children(items, key) -%}
    flatten(list_transform({{ items }}, lambda parent: {{ duckdb__json_value_items('parent', [key]) }}))
{%- endmacro %}

{% macro postgres__json_children(items, key) -%}
    jsonb_path_query_array({{ items }}, 'lax $[*]."{{ key }}"[*] ? (@ != null)')
{%- endmacro %}

{# The items for which a condition holds, which calls an item `item`. #}
{% macro json_where(items, item, condition) -%}
    {{ return(adapter.dispatch('json_where', 'granary')(items, item, condition)) }}
{%- endmacro %}

{% macro duckdb__json_where(items, item, condition) -%}
    list_filter({{ items }}, lambda {{ item }}: {{ condition }})
{%- endmacro %}

{% macro postgres__json_where(items, item, condition) -%}
    (
        select coalesce(jsonb_agg({{ item }} order by {{ item }}_position), cast('[]' as jsonb))
        from jsonb_array_elements({{ items }}) with ordinality as {{ item }}_rows ({{ item }}, {{ item }}_position)
        where {{ condition }}
    )
{%- endmacro %}

{# The item at a position, counted from 0 or, where negative, from the end: a collection of one item, or of none. #}
{% macro json_item(items, position) -%}
    {{ return(adapter.dispatch('json_item', 'granary')(items, position)) }}
{%- endmacro %}

{% macro duckdb__json_item(items, position) -%}
    {%- set number = position + 1 if position >= 0 else position -%}
    list_slice({{ items }}, {{ number }}, {{ number }})
{%- endmacro %}

{% macro postgres__json_item(items, position) -%}
    jsonb_path_query_array(
        {{ items }}, 'lax $[{{ position if position >= 0 else "last" ~ (" - " ~ (-1 - position) if position < -1) }}]'
    )
{%- endmacro %}

{# The value of the first item, null where there is none. #}
{% macro json_only(items) -%}
    {{ return(adapter.dispatch('json_only', 'granary')(items)) }}
{%- endmacro %}

{% macro duckdb__json_only(items) -%}({{ items }})[1]{%- endmacro %}

{% macro postgres__json_only(items) -%}({{ items }} -> 0){%- endmacro %}

{# How many items there are. #}
{% macro json_count(items) -%}
    {{ return(adapter.dispatch('json_count', 'granary')(items)) }}
{%- endmacro %}

{% macro duckdb__json_count(items) -%}cast(len({{ items }}) as bigint){%- endmacro %}

{% macro postgres__json_count(items) -%}cast(jsonb_array_length({{ items }}) as bigint){%- endmacro %}

{# The texts of the items with a separator between them; an empty text where there are none. #}
{% macro json_joined(items, separator) -%}
    {{ return(adapter.dispatch('json_joined', 'granary')(items, separator)) }}
{%- endmacro %}

{% macro duckdb__json_joined(items, separator) -%}
    array_to_string(
        list_transform({{ items }}, lambda element: element ->> '$'), {{ separator }}
    )
{%- endmacro %}

{% macro postgres__json_joined(items, separator) -%}
    array_to_string(
        array(
            select elements.element #>> '{}'
            from jsonb_array_elements({{ items }}) with ordinality as elements (element, position)
            order by elements.position
        ),
        {{ separator }}
    )
{%- endmacro %}

{# The items' texts as a JSON list; of numbers and booleans where `type` names such. #}
{% macro json_list(items, type) -%}
    {{ return(adapter.dispatch('json_list', 'granary')(items, type)) }}
{%- endmacro %}

{% macro duckdb__json_list(items, type) -%}
    cast(to_json(list_transform({{ items }}, lambda element: cast(element ->> '$' as {{ type }}))) as text)
{%- endmacro %}

{% macro postgres__json_list(items, type) -%}
    cast(array_to_json(array(
        select cast(elements.element #>> '{}' as {{ type }})
        from jsonb_array_elements({{ items }}) with ordinality as elements (element, position)
        order by elements.position
    )) as text)
{%- endmacro %}

{#  The text of the only item, null where there is none. More than one is an error, which says `what` has them and no
    value of theirs. #}
{% macro json_single(items, what) -%}
    {{ return(adapter.dispatch('json_single', 'granary')(items, what)) }}
{%- endmacro %}

{% macro duckdb__json_single(items, what) -%}
    case
        when len({{ items }}) > 1
            then error('{{ what }} has ' || len({{ items }}) || ' values where one is expected: add first() or where()')
        else {{ items }}[1] ->> '$'
    end
{%- endmacro %}

{#- Postgres raises by a cast only; it counts the items so that the planner doesn't take it for a constant. -#}
{% macro postgres__json_single(items, what) -%}
    case
        when jsonb_array_length({{ items }}) > 1 then cast(cast(
            '{{ what }} has ' || jsonb_array_length({{ items }}) || ' values where one is expected: add first() or where()'
            as integer
        ) as text)
        else {{ items }} ->> 0
    end
{%- endmacro %}

{# Whether the only item is true, null where there is none. What is no boolean, or several, is an error. #}
{% macro json_boolean(items, what) -%}
    {{ return(adapter.dispatch('json_boolean', 'granary')(items, what)) }}
{%- endmacro %}

{% macro duckdb__json_boolean(items, what) -%}
    case
        when len({{ items }}) > 1 or (len({{ items }}) = 1 and json_type({{ items }}[1]) <> 'BOOLEAN')
            then error('{{ what }} gives ' || len({{ items }}) || ' values and no boolean: compare it, or ask exists()')
        else ({{ items }}[1] ->> '$') = 'true'
    end
{%- endmacro %}

{% macro postgres__json_boolean(items, what) -%}
    case
        when jsonb_array_length({{ items }}) > 1 or jsonb_typeof({{ items }} -> 0) <> 'boolean' then cast(
            '{{ what }} gives ' || jsonb_array_length({{ items }})
            || ' values and no boolean: compare it, or ask exists()'
            as boolean
        )
        else ({{ items }} ->> 0) = 'true'
    end
{%- endmacro %}

{# Whether a collection is the one value of a type of SQL's: null where either is empty, false where there are several. #}
{% macro json_equals(items, value, type) -%}
    {{ return(adapter.dispatch('json_equals', 'granary')(items, value, type)) }}
{%- endmacro %}

{% macro duckdb__json_equals(items, value, type) -%}
    case when len({{ items }}) > 1 then false else cast({{ items }}[1] ->> '$' as {{ type }}) = {{ value }} end
{%- endmacro %}

{% macro postgres__json_equals(items, value, type) -%}
    case when jsonb_array_length({{ items }}) > 1 then false else cast({{ items }} ->> 0 as {{ type }}) = {{ value }} end
{%- endmacro %}

{#  Two collections of which neither type is known, by `=`, `<`, `<=`, `>` or `>=`: as numbers where both are, else as
    texts by their bytes. Null where either is empty, an error where one has several items. #}
{% macro json_compared(left_items, operator, right_items, what) -%}
    {{ return(adapter.dispatch('json_compared', 'granary')(left_items, operator, right_items, what)) }}
{%- endmacro %}

{% macro duckdb__json_compared(left_items, operator, right_items, what) -%}
    {%- set left_text, right_text = duckdb__json_single(left_items, what), duckdb__json_single(right_items, what) -%}
    case
        when
            json_type({{ left_items }}[1]) in ('BIGINT', 'UBIGINT', 'HUGEINT', 'DOUBLE')
            and json_type({{ right_items }}[1]) in ('BIGINT', 'UBIGINT', 'HUGEINT', 'DOUBLE')
            then cast({{ left_text }} as numeric(28, 8)) {{ operator }} cast({{ right_text }} as numeric(28, 8))
        else {{ left_text }} {{ operator }} {{ right_text }}
    end
{%- endmacro %}

{% macro postgres__json_compared(left_items, operator, right_items, what) -%}
    {%- set left_text, right_text = postgres__json_single(left_items, what), postgres__json_single(right_items, what) -%}
    case
        when jsonb_typeof({{ left_items }} -> 0) = 'number' and jsonb_typeof({{ right_items }} -> 0) = 'number'
            then cast({{ left_text }} as numeric(28, 8)) {{ operator }} cast({{ right_text }} as numeric(28, 8))
        else ({{ left_text }}) collate "C" {{ operator }} ({{ right_text }}) collate "C"
    end
{%- endmacro %}

{# A row for each item, for a join: its value as `item`, its position from 1 as `item`_position. #}
{% macro json_rows(items, item) -%}
    {{ return(adapter.dispatch('json_rows', 'granary')(items, item)) }}
{%- endmacro %}

{% macro duckdb__json_rows(items, item) -%}
    unnest({{ items }}) with ordinality as {{ item }}_rows ({{ item }}, {{ item }}_position)
{%- endmacro %}

{% macro postgres__json_rows(items, item) -%}
    jsonb_array_elements({{ items }}) with ordinality as {{ item }}_rows ({{ item }}, {{ item }}_position)
{%- endmacro %}

{# Two collections, the first's items before the second's. #}
{% macro json_concatenated(first_items, second_items) -%}
    {{ return(adapter.dispatch('json_concatenated', 'granary')(first_items, second_items)) }}
{%- endmacro %}

{% macro duckdb__json_concatenated(first_items, second_items) -%}
    list_concat({{ first_items }}, {{ second_items }})
{%- endmacro %}

{% macro postgres__json_concatenated(first_items, second_items) -%}({{ first_items }} || {{ second_items }}){%- endmacro %}

{# A list of whole numbers with one more at its end: the way to an item of a tree, by which its items are in order. #}
{% macro way_to(way, position) -%}
    {{ return(adapter.dispatch('way_to', 'granary')(way, position)) }}
{%- endmacro %}

{% macro duckdb__way_to(way, position) -%}
    {%- if way %}list_append({{ way }}, {{ position }}){% else %}[{{ position }}]{% endif -%}
{%- endmacro %}

{% macro postgres__way_to(way, position) -%}
    {%- if way %}({{ way }} || {{ position }}){% else %}array[{{ position }}]{% endif -%}
{%- endmacro %}
