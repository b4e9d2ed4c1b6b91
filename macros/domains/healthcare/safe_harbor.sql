{#  What is released of persons: docs/decisions/safe-harbor.md. Of dates the year of the local day, as long as it doesn't tell
    of an age over 89; of events a number that follows from what is released of them alone. #}

{# The year of a day, as a number. #}
{% macro year_number(date) -%}cast(extract(year from {{ date }}) as integer){%- endmacro %}

{# The year of a day, null where the day lies so far back that it tells of an age over 89. `reference_year`: of death or now. #}
{% macro released_year(date, reference_year) -%}
    case
        when {{ reference_year }} - {{ year_number(date) }} < 90
            then {{ year_number(date) }}
    end
{%- endmacro %}

{# Whole years from one day to another: a birthday on 29 February is on 1 March in other years. #}
{% macro whole_years(first_date, second_date) -%}
    (
        {{ year_number(second_date) }} - {{ year_number(first_date) }}
        - case
            when extract(month from {{ second_date }}) * 100 + extract(day from {{ second_date }})
                < extract(month from {{ first_date }}) * 100 + extract(day from {{ first_date }}) then 1
            else 0
        end
    )
{%- endmacro %}

{# The group of an age. Of ages over 89 there is one. #}
{% macro age_group(age) -%}
    case
        when {{ age }} is null then 'unknown'
        when {{ age }} >= 90 then '90+'
        when {{ age }} >= 75 then '75-89'
        when {{ age }} >= 65 then '65-74'
        when {{ age }} >= 45 then '45-64'
        when {{ age }} >= 18 then '18-44'
        when {{ age }} >= 0 then '0-17'
        else 'unknown'
    end
{%- endmacro %}

{#  The number of an event among those of its person, by what is released of it and nothing else: its order tells neither
    that of the source nor of time within a year. Equal events are as good as each other. `texts` are ordered by bytes. #}
{% macro released_number(columns, texts=[]) -%}
    row_number() over (
        partition by patient_key
        order by
            event_year
            {%- for column in columns %}, {{ binary_order(column) if column in texts else column }}{% endfor %}
    )
{%- endmacro %}

{# A code of a short list; null where it is none of it, because whoever wrote it may have written anything. #}
{% macro released_value(column, values) -%}
    case when {{ column }} in ('{{ values | join("', '") }}') then {{ column }} end
{%- endmacro %}

{# A number of things, null where it is larger than such a number gets: it may be one that somebody has. #}
{% macro released_count(column, most) -%}
    case when {{ column }} between 0 and {{ most }} then {{ column }} end
{%- endmacro %}

{# The most nights that are released: 90 years have 32,850 at least. #}
{% macro most_nights() -%}32849{%- endmacro %}

{# The fewest persons of whom a number is told: of 1 to 10 none is, as the CMS has it for what it publishes. #}
{% macro least_cell() -%}11{%- endmacro %}

{# Whether an address is in the United States, where a country is named at all. #}
{% macro is_in_states(country) -%}
    upper(coalesce({{ country }}, 'US')) in ('US', 'USA', 'UNITED STATES', 'UNITED STATES OF AMERICA')
{%- endmacro %}

{# The states, the district and the territories, by the letters of the postal service. #}
{% macro states() -%}
    {{ return('AK AL AR AS AZ CA CO CT DC DE FL GA GU HI IA ID IL IN KS KY LA MA MD ME MI MN MO MP MS MT NC ND NE NH NJ NM NV NY
        OH OK OR PA PR RI SC SD TN TX UT VA VI VT WA WI WV WY'.split()) }}
{%- endmacro %}

{#  A number that is released: none that may be an age over 89, a year, or a number that somebody has. Durations of 90 years
    and more, numbers of a thousand and more without a unit, of a million and more in any unit, and ages as such are null. #}
{% macro released_quantity(number, unit, code) -%}
    case
        when {{ code }} in ('30525-0', '21611-9', '21612-7', '29553-5', '35659-2', '39016-1') then null
        when {{ unit }} = 's' and abs({{ number }}) >= 2840184000 then null
        when {{ unit }} = '1' and abs({{ number }}) >= 1000 then null
        when {{ unit }} <> 's' and abs({{ number }}) >= 1000000 then null
        else {{ number }}
    end
{%- endmacro %}

{#  Whether a code is written as its system writes codes: a name, a date or a number of somebody's is not. SNOMED CT's are
    those of concepts, by the partition before their last digit. #}
{% macro is_written_as_code(code, system) -%}
    case {{ system }}
        when {{ loinc() }} then coalesce({{ loinc_digit_is_right(code) }}, {{ code }} ~ '^LA[0-9]{1,6}-[0-9]$')
        when 'http://snomed.info/sct' then {{ code }} ~ '^[1-9][0-9]{2,14}(00|10)[0-9]$'
        when 'http://www.nlm.nih.gov/research/umls/rxnorm' then {{ code }} ~ '^[1-9][0-9]{0,6}$'
        when 'http://hl7.org/fhir/sid/cvx' then {{ code }} ~ '^[0-9]{1,3}$'
        when 'http://hl7.org/fhir/sid/icd-10-cm' then {{ code }} ~ '^[A-Z][0-9][0-9A-Z]([.][0-9A-Z]{1,4})?$'
        when 'http://hl7.org/fhir/sid/icd-10' then {{ code }} ~ '^[A-Z][0-9]{2}([.][0-9]{1,2})?$'
        else false
    end
{%- endmacro %}
