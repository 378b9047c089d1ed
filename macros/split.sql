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

{#-
    A share of money (rule 39), by the same running difference: the figure at the end of a part less that at its start. A figure is
    cut towards zero, so that a reversal is shared like the charge it reverses, with the sign changed.

    nano_amount: whole billionths of the currency unit, either sign. weight_from, weight_to: the running weight at the start and
    at the end of the part; total: the weight of all parts, positive, or 0 or null if there is nothing to share by. A running
    weight may leave the range from 0 to total on its way. All are whole. The result is a wide integer. Nearly all products fit a
    wide integer; those take a branch that is twice as fast.
-#}
{% macro share_of_money(nano_amount, weight_from, weight_to, total) -%}
    {%- set wide = wide_integer() -%}
    {%- set divisor = "nullif(" ~ total ~ ", 0)::" ~ wide %}
    case
        when {{ nano_amount }} = 0 then 0
        when {{ weight_from }} = 0 and {{ weight_to }} = {{ total }} then {{ nano_amount }}
        when abs({{ nano_amount }}) < {{ power_of_ten(17) }} and {{ total }} < {{ power_of_ten(18) }}
            then
                {{ wide_quotient("(" ~ nano_amount ~ " * (" ~ weight_to ~ ")::" ~ wide ~ ")", divisor) }}
                - {{ wide_quotient("(" ~ nano_amount ~ " * (" ~ weight_from ~ ")::" ~ wide ~ ")", divisor) }}
        else
            {{ running_share(nano_amount, weight_to, total) }}
            - {{ running_share(nano_amount, weight_from, total) }}
    end::{{ wide_integer() }}
{%- endmacro %}

{#- amount * weight ÷ total, cut towards zero, as a wide integer. -#}
{% macro running_share(amount, weight, total) -%}{{ long_division(amount, weight, total).quotient }}{%- endmacro %}

{#- What running_share cuts off, times total: its size is below total, and its sign is that of the share. -#}
{% macro share_remainder(amount, weight, total) -%}{{ long_division(amount, weight, total).remainder }}{%- endmacro %}

{#-
    Quotient and remainder of amount * weight ÷ total as SQL, all whole. The product of 10^15 currency units and the credits of a
    large line exceeds a wide integer, so the amount is multiplied in two steps of twelve digits, as by hand. |amount| < 10^25,
    total < 10^24, |weight| <= 101 * total. Null if total is 0.
-#}
{% macro long_division(amount, weight, total) -%}
    {%- set wide = wide_integer() -%}
    {%- set step = "1000000000000::" ~ wide -%}
    {%- set divisor = "nullif(" ~ total ~ ", 0)::" ~ wide -%}
    {%- set weight = "(" ~ weight ~ ")::" ~ wide -%}
    {%- set amount = "(" ~ amount ~ ")::" ~ wide -%}
    {%- set high = "(" ~ wide_quotient(amount, step) ~ ")" -%}
    {%- set low = "(" ~ amount ~ " - " ~ high ~ " * " ~ step ~ ")" -%}
    {%- set high_quotient = "(" ~ wide_quotient("(" ~ high ~ " * " ~ weight ~ ")", divisor) ~ ")" -%}
    {%- set carried = "(" ~ high ~ " * " ~ weight ~ " - " ~ high_quotient ~ " * " ~ divisor ~ ")" -%}
    {%- set rest = "(" ~ carried ~ " * " ~ step ~ " + " ~ low ~ " * " ~ weight ~ ")" -%}
    {%- set low_quotient = "(" ~ wide_quotient(rest, divisor) ~ ")" -%}
    {{ return({
        "quotient": "(" ~ high_quotient ~ " * " ~ step ~ " + " ~ low_quotient ~ ")",
        "remainder": "(" ~ rest ~ " - " ~ low_quotient ~ " * " ~ divisor ~ ")",
    }) }}
{%- endmacro %}

{#-
    The weight by which usage takes part in its line's amount (rule 39): its credits, with the sign of the line's. The usage of an
    adjustment may nearly cancel out, or quite. Then it is its absolute credits, because by signed credits a cent would become
    millions in either direction. Nearly: the line's credits are less than a hundredth of its absolute ones, so that no share
    exceeds a hundred times the amount.

    credits, absolute_credits: of the usage, or sums of them; line_credits, line_absolute_credits: their sums over the line.
-#}
{% macro share_weight(credits, absolute_credits, line_credits, line_absolute_credits) -%}
    case
        when abs({{ line_credits }}) * 100 < {{ line_absolute_credits }} then {{ absolute_credits }}
        when {{ line_credits }} < 0 then -({{ credits }})
        else {{ credits }}
    end
{%- endmacro %}
