{#-
    The only exact split of a session (rule 13). The amount accrued by a moment is `floor(amount * elapsed / total)`; a part is
    the difference of two such figures. So parts of any grain sum to the amount, and days sum to months.

    amount: whole and not negative (nano-credits, seconds). elapsed_from, elapsed_to: microseconds from the interval's start to
    the part's start and end. total: microseconds of the interval; 0 for an interval of zero length, which has a single part.
    The result is a wide integer, because seconds times microseconds exceed BIGINT. Wide division is slow and most sessions have
    one part, so the first branch handles those.
-#}
{% macro prorated_share(amount, elapsed_from, elapsed_to, total) -%}
    {%- set wide = wide_integer() -%}
    {%- set divisor = "nullif(" ~ total ~ ", 0)::" ~ wide -%}
    case
        when {{ total }} = 0 or ({{ elapsed_from }} = 0 and {{ elapsed_to }} = {{ total }}) then ({{ amount }})::{{ wide }}
        else
            {{ whole_quotient("((" ~ amount ~ ")::" ~ wide ~ " * (" ~ elapsed_to ~ ")::" ~ wide ~ ")", divisor) }}
            - {{ whole_quotient("((" ~ amount ~ ")::" ~ wide ~ " * (" ~ elapsed_from ~ ")::" ~ wide ~ ")", divisor) }}
    end
{%- endmacro %}

{#- The columns nano_credits and usage_seconds of parts of sessions. `parts`: a CTE with rows of int_sessions and
    part_start_at_utc and part_end_at_utc. -#}
{% macro split_figures(parts) -%}
    {%- for amount, name in [("cost_nano_credits", "nano_credits"), ("usage_seconds", "usage_seconds")] %}
    {{ prorated_share(
        parts ~ "." ~ amount,
        elapsed_microseconds(parts ~ ".started_at_utc", parts ~ ".part_start_at_utc"),
        elapsed_microseconds(parts ~ ".started_at_utc", parts ~ ".part_end_at_utc"),
        parts ~ ".elapsed_microseconds",
    ) }}::bigint as {{ name }}{{ "," if not loop.last }}
    {%- endfor %}
{%- endmacro %}
