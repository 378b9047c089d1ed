{#- Amounts as Stripe takes them. -#}

{#-
    An amount in minor units of ours, as a whole number of Stripe's minor units, BIGINT, rounded half away from zero to the unit that
    Stripe charges in. Most currencies have the same minor unit on both sides. The exceptions, as Stripe documents them:
    ISK and UGX are charged in whole units, but written with two decimals; MGA is charged in whole units; currencies of three decimals
    end in 0. exponent: number of decimals of our minor unit, 0 to 3.
-#}
{% macro stripe_amount(amount_minor, currency, exponent) -%}
    {%- set wide = wide_integer() -%}
    {%- set divisor -%}
        case
            when {{ currency }} in ('ISK', 'UGX', 'MGA') then {{ power_of_ten(exponent) }}
            when {{ exponent }} = 3 then 10::{{ wide }}
            else 1::{{ wide }}
        end
    {%- endset -%}
    (
        case when {{ amount_minor }} < 0 then -1 else 1 end
        * {{ wide_quotient("(abs((" ~ amount_minor ~ ")::" ~ wide ~ ") * 2 + " ~ divisor ~ ")", "(2 * " ~ divisor ~ ")") }}
        * case when {{ currency }} in ('ISK', 'UGX') then 100 when {{ exponent }} = 3 and {{ currency }} <> 'MGA' then 10 else 1 end
    )::bigint
{%- endmacro %}


{#- Number of decimals of Stripe's minor unit of a currency. exponent: that of ours, 0 to 3. -#}
{% macro stripe_exponent(currency, exponent) -%}
    case when {{ currency }} in ('ISK', 'UGX') then 2 when {{ currency }} = 'MGA' then 0 else {{ exponent }} end
{%- endmacro %}
