{#-
    The one exact split (rule 13). What an amount has come to by a cut is `floor(amount * elapsed / total)`; a part is
    the difference of two such figures. So the parts of any grain sum to the amount, and days sum to months.

    amount: whole and not negative (nano-credits, seconds). elapsed_from, elapsed_to: microseconds from the interval's
    start to the part's start and end. total: microseconds of the interval; 0 for an interval of no length, of which
    the single part is all. HUGEINT, because seconds times microseconds leave the range of BIGINT; its division is slow,
    and most sessions are one part, so that these are told first.
-#}
{% macro split_part(amount, elapsed_from, elapsed_to, total) -%}
    case
        when {{ total }} = 0 or ({{ elapsed_from }} = 0 and {{ elapsed_to }} = {{ total }}) then ({{ amount }})::hugeint
        else
            (({{ amount }})::hugeint * ({{ elapsed_to }})::hugeint) // nullif({{ total }}, 0)::hugeint
            - (({{ amount }})::hugeint * ({{ elapsed_from }})::hugeint) // nullif({{ total }}, 0)::hugeint
    end
{%- endmacro %}
