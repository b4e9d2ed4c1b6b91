{#  Who or what a reference names, where it isn't a patient: practitioners, organizations and locations are referred to by their
    ids, by an identifier in the reference (`Practitioner?identifier=system|value`), or by one beside it. #}

{# What int_practitioners__references and int_facilities__references have for a reference: an id, or `system|value`. #}
{% macro named_by_reference(id, reference) -%}
    coalesce({{ id }}, case
        when {{ reference }} ~ '^[A-Z][A-Za-z]+[?]identifier=.+$'
            then replace(substring({{ reference }}, strpos({{ reference }}, '=') + 1), '%7C', '|')
    end)
{%- endmacro %}

{# The same for an organization that an identifier beside the reference may name. #}
{% macro named_beside_reference(id, reference, system, value) -%}
    coalesce({{ named_by_reference(id, reference) }}, coalesce({{ system }}, '') || '|' || {{ value }})
{%- endmacro %}

{% macro npi_system() -%}'http://hl7.org/fhir/sid/us-npi'{%- endmacro %}

{# A facility's key: an organization and a location may have the same id. #}
{% macro facility_key(kind, column) -%}{{ surrogate_key(["'facility'", "'fhir'", kind, column]) }}{%- endmacro %}

{# The relations that hold keys of versions of practitioners or facilities. #}
{% macro facts_of_practitioners() -%}
    {{ return(['fct_conditions', 'fct_medication_requests']) }}
{%- endmacro %}

{% macro facts_of_facilities() -%}
    {{ return(['fct_procedures', 'fct_immunizations', 'fct_encounters']) }}
{%- endmacro %}
