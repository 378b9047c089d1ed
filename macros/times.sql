{#- Times are TIMESTAMP in UTC everywhere, and elapsed time is counted in whole microseconds. -#}

{#-
    An ISO 8601 text as TIMESTAMP in UTC (rule 8). A text without a zone is UTC, an offset is applied, digits beyond
    microseconds are cut off, and a date alone is its midnight. Null if it is neither a date with a time nor a date, if no such
    day or time exists, or if it is outside the years 1 to 9999 in UTC, which tools on the marts cannot show.
    The pattern is checked first, because a cast alone accepts blanks and zone names. It is a try_cast, because an engine may
    evaluate a cast for rows that CASE excludes. The usual spelling, with `Z`, has a branch of its own: reading a time with a
    zone is ten times slower.
-#}
{% macro parse_utc(text) -%}
    {%- set usual -%}
    (?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:[.][0-9]{1,6})?Z
    {%- endset -%}
    {%- set grammar -%}
    [0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.,][0-9]+)?)?([Zz]|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)?)?
    {%- endset -%}
    case
        when {{ full_match(text, usual) }} then try_cast({{ text }} as timestamp)
        when {{ full_match(text, grammar) }}
            and {{ read_time(text) }} between timestamp '0001-01-01 00:00:00' and timestamp '9999-12-31 23:59:59.999999'
            then {{ read_time(text) }}
    end
{%- endmacro %}

{#- A text that matches the grammar of parse_utc as TIMESTAMP in UTC, of any year; null if there is no such time. -#}
{% macro read_time(text) -%}{{ return(adapter.dispatch("read_time")(text)) }}{%- endmacro %}

{% macro default__read_time(text) -%}
    (try_cast(replace(upper({{ text }}), ',', '.') as timestamptz) at time zone 'UTC')
{%- endmacro %}

{#- The variable earliest_session_date as a TIMESTAMP, its midnight in UTC. Fails with a message if it is not a day. -#}
{% macro earliest_session_start() -%}
    {%- set value = var("earliest_session_date") | string -%}
    {%- set is_day = modules.re.fullmatch("(?!0000)[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])", value) -%}
    {%- if is_day and value[8:] | int > days_of_month(value[:4] | int, value[5:7] | int) -%}{%- set is_day = none -%}{%- endif -%}
    {%- if not is_day -%}
        {{ exceptions.raise_compiler_error(
            "the variable earliest_session_date is '" ~ value ~ "': it must be a day like \"2020-01-01\", in quotes"
        ) }}
    {%- endif -%}
    timestamp '{{ value }} 00:00:00'
{%- endmacro %}

{#- The number of days in a month. -#}
{% macro days_of_month(year, month) -%}
    {%- set following = modules.datetime.date(year + month // 12, month % 12 + 1, 1) if (year, month) < (9999, 12) else none -%}
    {{ return((following - modules.datetime.date(year, month, 1)).days if following else 31) }}
{%- endmacro %}

{#- Microseconds from one TIMESTAMP to a later one, BIGINT. Not date_diff, which counts boundaries for coarser units. -#}
{% macro elapsed_microseconds(from_ts, to_ts) -%}
    ({{ epoch_us(to_ts) }} - {{ epoch_us(from_ts) }})
{%- endmacro %}

{#- A TIMESTAMP plus a number of whole seconds. -#}
{% macro add_seconds(ts, seconds) -%}
    {{ from_epoch_us(epoch_us(ts) ~ " + (" ~ seconds ~ ")::bigint * 1000000") }}
{%- endmacro %}

{#- The last UTC day of a half-open interval: an end at midnight belongs to the day before (rule 13). -#}
{% macro last_day_of_span(start_ts, end_ts) -%}
    case
        when {{ end_ts }} > {{ start_ts }} then {{ from_epoch_us(epoch_us(end_ts) ~ " - 1") }}::date
        else ({{ start_ts }})::date
    end
{%- endmacro %}

{#- The billing period (rule 11), `YYYY-MM`, of a date or timestamp. -#}
{% macro billing_period(moment) -%}{{ return(adapter.dispatch("billing_period")(moment)) }}{%- endmacro %}

{% macro default__billing_period(moment) -%}
    strftime({{ moment }}, '%Y-%m')
{%- endmacro %}

{#- The first day of a billing period `YYYY-MM`, as DATE. Every mart has it beside the period's name, because BI tools filter and
    draw by dates, not by texts. -#}
{% macro period_start_date(period) -%}
    {{ period_start(period) }}::date
{%- endmacro %}

{#-
    A run of days of one month as a bit mask, BIGINT: day n of the month is the bit 2^(n - 1). Masks of runs that share no day add up
    to that of all of them. to_date: the day after the last.
-#}
{% macro day_mask(from_date, to_date) -%}
    {{ power_of_two("extract(day from " ~ from_date ~ ")::integer - 1") }}
    * ({{ power_of_two(days_between(from_date, to_date) ~ "::integer") }} - 1)
{%- endmacro %}
