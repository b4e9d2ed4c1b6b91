-- Every portable macro gives these answers, on whatever engine the test runs: what differs is a failing row.
{{ config(meta={'quality_dimension': 'consistency'}) }}
{%- set profile = "'{\"a\": {\"b\": \"x\"}, \"list\": [1], \"none\": null, \"yes\": true, \"n\": 7, \"quote\": \"it\\\"s\"}'" %}
{%- set money, rate = "cast(%s as numeric(28, 4))", "cast(%s as numeric(18, 8))" %}
{%- set cases = [
    ('business_date: summer time', business_date("timestamp '2024-06-30 23:30:00'"), '2024-07-01'),
    ('business_date: winter time', business_date("timestamp '2024-01-31 23:30:00'"), '2024-01-31'),
    ('local_to_utc: summer time', local_to_utc("timestamp '2024-07-01 00:30:00'", 'Europe/London'), '2024-06-30 23:30:00'),
    ('local_to_utc: a date', local_to_utc("date '2024-07-01'", 'America/New_York'), '2024-07-01 04:00:00'),
    ('local_to_utc: shown twice', local_to_utc("timestamp '2024-10-27 01:30:00'", 'Europe/London'), '2024-10-27 01:30:00'),
    ('local_to_utc: skipped', local_to_utc("timestamp '2024-03-31 01:30:00'", 'Europe/London'), '2024-03-31 01:30:00'),
    ('month_start: a date', month_start("date '2024-02-29'"), '2024-02-01'),
    ('month_start: a timestamp', month_start("timestamp '2024-03-31 23:59:59'"), '2024-03-01'),
    ('month_end: leap year', month_end("date '2024-02-01'"), '2024-02-29'),
    ('month_end: December', month_end("date '2023-12-31'"), '2023-12-31'),
    ('year_start: a date', year_start("date '2051-07-01'"), '2051-01-01'),
    ('year_end: leap year', year_end("date '1996-01-01'"), '1996-12-31'),
    ('year_end: its last day', year_end("date '2051-12-31'"), '2051-12-31'),
    ('week_start: a Sunday', week_start("date '2024-03-31'"), '2024-03-25'),
    ('week_start: new year', week_start("date '2021-01-01'"), '2020-12-28'),
    ('days_between: over summer time', days_between("date '2024-03-30'", "date '2024-04-01'"), '2'),
    ('days_between: backwards', days_between("timestamp '2024-03-01 23:00:00'", "date '2024-02-28'"), '-2'),
    ('months_between: over new year', months_between("date '2023-11-30'", "date '2024-02-01'"), '3'),
    ('months_between: backwards', months_between("timestamp '2024-03-01 00:00:00'", "date '2024-02-29'"), '-1'),
    ('add_days: leap year', add_days("date '2024-02-28'", 2), '2024-03-01'),
    ('add_days: backwards', add_days("timestamp '2024-01-01 12:00:00'", -1), '2023-12-31'),
    ('month_name', month_name("date '2024-09-01'"), 'September'),
    ('day_name', day_name("date '2024-09-04'"), 'Wednesday'),
    ('safe_divide: a third', safe_divide('1', '3'), '0.333333'),
    ('safe_divide: whole numbers', safe_divide('5', '2'), '2.500000'),
    ('safe_divide: half rounds away', safe_divide('1', '2000000'), '0.000001'),
    ('safe_divide: negative half', safe_divide('-1', '2000000'), '-0.000001'),
    ('safe_divide: two negatives', safe_divide('-10.5', '-4.2'), '2.500000'),
    ('safe_divide: large', safe_divide('123456789012.1234', '0.0001'), '1234567890121234.000000'),
    ('safe_divide: by zero', safe_divide('1', '0'), none),
    ('safe_divide: by null', safe_divide('1', 'null'), none),
    ('json_text: text', json_text(profile, ['a', 'b']), 'x'),
    ('json_text: true', json_text(profile, ['yes']), 'true'),
    ('json_text: a whole number', json_text(profile, ['n']), '7'),
    ('json_text: escapes', json_text(profile, ['quote']), 'it"s'),
    ('json_text: null', json_text(profile, ['none']), none),
    ('json_text: missing', json_text(profile, ['a', 'c']), none),
    ('json_text: through text', json_text(profile, ['a', 'b', 'c']), none),
    ('json_text: through a list', json_text(profile, ['list', 'x']), none),
    ('json_text: no object', json_text("'[1]'", ['a']), none),
    ('json_text: no JSON', json_text('cast(null as varchar)', ['a']), none),
    ('json_text: NUL', json_text("'{\"a\": \"x\\u0000\\u0000y\"}'", ['a']), 'xy'),
    ('json_text: no NUL', json_text("'{\"a\": \"x\\\\u0000y\"}'", ['a']), 'x\\u0000y'),
    ('collapsed', collapsed("' a ' || chr(9) || chr(10) || ' b' || chr(160) || ' c '"), 'a b c'),
    ('collapsed: blank', collapsed("' ' || chr(9)"), none),
    ('collapsed: empty', collapsed("''"), none),
    ('collapsed: any blank', collapsed("chr(8203) || 'a' || chr(8232) || chr(12288) || 'b'"), 'a b'),
    ('trimmed: plain', trimmed("'a b'"), 'a b'),
    ('trimmed: any blank', trimmed("chr(160) || 'é  b' || chr(65279) || chr(9)"), 'é  b'),
    ('trimmed: blank', trimmed("chr(8195)"), none),
    ('folded: plain', folded("'shipped'"), 'shipped'),
    ('folded: a tab', folded("'SHIPPED' || chr(9)"), 'shipped'),
    ('folded: several words', folded("'United KINGDOM (UK)'"), 'united kingdom (uk)'),
    ('folded_up: several words', folded_up("'a b~c'"), 'A B~C'),
    ('folded: no letter of ASCII', folded("'İßÉ' || chr(8490)"), 'İßÉ' ~ '\u212a'),
    ('folded_up', folded_up("' gbp' || chr(160)"), 'GBP'),
    ('folded_up: no letter of ASCII', folded_up("'ßé-1'"), 'ßé-1'),
    ('hl7_at: an offset', hl7_at("'20141006064500+0700'"), '2014-10-05 23:45:00'),
    ('hl7_at: an offset of minutes, behind', hl7_at("'201203141259-0215'"), '2012-03-14 15:14:00'),
    ('hl7_at: a fraction is cut', hl7_at("'20241231235959.9999999-0100'"), '2025-01-01 00:59:59.999999'),
    ('hl7_at: local, in summer time', hl7_at("'20240701'"), '2024-06-30 23:00:00'),
    ('hl7_at: local, shown twice', hl7_at("'20241027013000'"), '2024-10-27 01:30:00'),
    ('hl7_at: a year', hl7_at("'2024'"), '2024-01-01 00:00:00'),
    ('hl7_at: a month with an offset', hl7_at("'202407+0000'"), '2024-07-01 00:00:00'),
    ('hl7_at: none', hl7_at('cast(null as varchar)'), none),
    ('hl7_date: as written', hl7_date("'20141006064500+0700'"), '2014-10-06'),
    ('hl7_date: of a fraction', hl7_date("'20240229235959.99-1200'"), '2024-02-29'),
    ('hl7_precision: a fraction', hl7_precision("'20240229235959.99-1200'"), 'fraction'),
    ('hl7_precision: an offset', hl7_precision("'2024022923+0100'"), 'hour'),
    ('hl7_precision: a month', hl7_precision("'202402'"), 'month'),
    ('business_day_end: summer time', business_day_end("date '2024-07-01'"), '2024-07-01 23:00:00'),
    ('business_day_end: the day the clock is put back', business_day_end("date '2024-10-27'"), '2024-10-28 00:00:00'),
    ('product: more digits than 18', product("cast('1000000.0000' as numeric(18, 4))", "cast('1.23456789' as numeric(18, 8))"),
        '1234567.890000000000'),
    ('at_rate: half rounds away', at_rate(money % "'1.0001'", rate % "'0.50000000'"), '0.5001'),
    ('at_rate: negative half', at_rate(money % "'-1.0001'", rate % "'0.50000000'"), '-0.5001'),
    ('at_rate: the greatest that is quick', at_rate(money % "'99999.0000'", rate % "'9.00000000'"), '899991.0000'),
    ('at_rate: past that', at_rate(money % "'99999.9999'", rate % "'9.99999999'"), '999999.9980'),
    ('at_rate: more digits than 18', at_rate(money % "'123456789012.3456'", rate % "'1.23456789'"), '152415787517.1467'),
    ('at_rate: a negative half of more digits', at_rate(money % "'-3000000.0001'", rate % "'0.50000000'"), '-1500000.0001'),
    ('at_rate: next to nothing', at_rate(money % "'0.0001'", rate % "'0.00000001'"), '0.0000'),
    ('at_rate: no rate', at_rate(money % "'1'", rate % "null"), none),
    ('surrogate_key: the separator', 'case when ' ~ surrogate_key(["'a|'", "'b'"]) ~ ' = '
        ~ surrogate_key(["'a'", "'|b'"]) ~ " then 'one' else 'two' end", 'two'),
    ('row_hash: the separator', 'case when ' ~ row_hash(["trim('a|=b')", "trim('c')"]) ~ ' = '
        ~ row_hash(["trim('a')", "trim('b|=c')"]) ~ " then 'one' else 'two' end", 'two'),
    ('surrogate_key', surrogate_key(["'source'", "'shop'"]), '6a338154-5394-7bbc-5700-f1d7c3f90621'),
    ('surrogate_key: a null part', surrogate_key(["'source'", 'cast(null as varchar)']), none),
    ('row_hash: null and blank differ', row_hash(["''", 'cast(null as varchar)']), '2ad52c82a298f6a230d36419dabfdc4f'),
] -%}

with cases as (
    {% for name, expression, expected in cases -%}
    select
        '{{ name }}' as case_name,
        cast({{ expression }} as varchar) as actual,
        {{ "'" ~ expected ~ "'" if expected is not none else 'cast(null as varchar)' }} as expected
    {%- if not loop.last %}
    union all
    {%- endif %}
    {% endfor %}
),

words as (
    select 'Zoo' as word
    union all select 'apple'
    union all select 'étude'
    union all select '_'
    union all select 'Ab'
),

days as (
    {{ date_series("'2024-02-28'", "'2024-03-01'") }}
),

all_cases as (
    select * from cases
    union all
    select
        'binary_order' as case_name,
        string_agg(word, ' ' order by {{ binary_order('word') }}) as actual,
        'Ab Zoo _ apple étude' as expected
    from words
    union all
    select
        'date_series' as case_name,
        string_agg(cast(date_day as varchar), ' ' order by date_day) as actual,
        '2024-02-28 2024-02-29 2024-03-01' as expected
    from days
)

select * from all_cases
where actual is distinct from expected
