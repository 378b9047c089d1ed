{#- Exact arithmetic with money: minor units, rounding, ranges. -#}

{#-
    nano_amount * numerator ÷ denominator in minor units of a currency, rounded half away from zero, as a wide integer. The only
    place where money is rounded (rule 3). nano_amount: whole nano-units of the currency, not negative. exponent: number of
    decimals of the minor unit (2: cents), 0 to 9. The product of nano_amount and numerator must stay below 10^37.
-#}
{% macro minor_units(nano_amount, numerator, denominator, exponent, scale=9) -%}
    {%- set wide, unit = wide_integer(), power_of_ten(scale ~ " - " ~ exponent) %}
    (
        {{ wide_quotient(
            "((" ~ nano_amount ~ ")::" ~ wide ~ " * (" ~ numerator ~ ")::" ~ wide ~ " * 2 + (" ~ denominator ~ ")::" ~ wide ~ " * " ~ unit ~ ")",
            "((" ~ denominator ~ ")::" ~ wide ~ " * " ~ unit ~ " * 2)",
        ) }}
    )
{%- endmacro %}

{#- Nano-credits, capped so that their price is just above 10^15 currency units: the product then fits a wide integer, and
    within_money_range still refuses the amount. -#}
{% macro priceable_nano(nano_credits, nano_price) -%}
    least({{ nano_credits }}, {{ wide_quotient(power_of_ten(33), "greatest(" ~ nano_price ~ ", 1)") }} + 1)
{%- endmacro %}

{#-
    Minor units as BIGINT. Fails with a message if the amount is 10^15 currency units or more, which DECIMAL(18,3) cannot
    hold. subject: SQL text that says whose amount it is.
-#}
{% macro within_money_range(amount_minor, exponent, subject) -%}
    case
        when abs({{ amount_minor }}) >= {{ power_of_ten("15 + " ~ exponent) }}
            then {{ fail_with(
                subject ~ " || ' comes to 1,000,000,000,000,000 currency units or more, which no invoice can hold: "
                ~ "correct the prices, or have the vendor correct the usage'"
            ) }}
        else {{ amount_minor }}
    end::bigint
{%- endmacro %}

{#- 10^n as a wide integer; n from 0 to 37. Not pow(), which returns a float. -#}
{% macro power_of_ten(n) -%}
    ('1' || repeat('0', ({{ n }})::bigint))::{{ wide_integer() }}
{%- endmacro %}

{#- Minor units (BIGINT) as an amount in currency units, DECIMAL(18,3); exponents 0 to 3. -#}
{% macro minor_to_amount(amount_minor, exponent) -%}
    (
        ({{ amount_minor }})::decimal(38, 0)
        * case {{ exponent }} when 0 then 1.000 when 1 then 0.100 when 2 then 0.010 when 3 then 0.001 end
    )::decimal(18, 3)
{%- endmacro %}

{#- Minor units as whole billionths of the currency unit, a wide integer. -#}
{% macro minor_to_nano(amount_minor, exponent) -%}
    (({{ amount_minor }})::{{ wide_integer() }} * {{ power_of_ten("9 - " ~ exponent) }})
{%- endmacro %}

{#- Minor units of any size as an amount in currency units, DECIMAL(38,3). For messages and sums over many invoices. -#}
{% macro minor_to_decimal(amount_minor, exponent) -%}
    (
        ({{ amount_minor }})::decimal(35, 0)
        * case {{ exponent }} when 0 then 1.000 when 1 then 0.100 when 2 then 0.010 when 3 then 0.001 end
    )::decimal(38, 3)
{%- endmacro %}

{#- The cost of credits at the vendor's price, DECIMAL(38,9), rounded half away from zero. It is shown, never billed. -#}
{% macro vendor_cost(credits, price) -%}
    round({{ credits }} * {{ price }}, 9)::decimal(38, 9)
{%- endmacro %}

{#- amount ÷ total of amounts in DECIMAL(38,3), rounded half away from zero to 6 decimals, DECIMAL(38,6). The amount may be negative;
    the total is positive. Null if the total is 0 or null. -#}
{% macro signed_ratio(amount, total) -%}
    (
        case when {{ amount }} < 0 then -1 else 1 end
        * {{ rounded_ratio(
            "(abs(" ~ amount ~ ") * 1000)::" ~ wide_integer(), "(" ~ total ~ " * 1000)::" ~ wide_integer(), 6, "decimal(38, 6)"
        ) }}
    )::decimal(38, 6)
{%- endmacro %}
