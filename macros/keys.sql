{#- Keys derived from several columns. -#}

{#- A key of several texts: a hash of all of them, each preceded by its length, so that two different lists never give the
    same input. A null differs from every text. suffix: SQL of a text that is appended as it is. -#}
{% macro text_key(texts, hash="md5", suffix="") -%}
    {%- set key %}
        {%- for text in texts %}
        coalesce(length({{ text }})::string || ':' || {{ text }}, '-')
        {{- " || " if not loop.last or suffix }}
        {%- endfor %}
        {{ suffix }}
    {% endset -%}
    {{ sha256(key) if hash == "sha256" else "md5(" ~ key ~ ")" }}
{%- endmacro %}

{#- The key of an invoice (rule 31): a user, a period and a currency. -#}
{% macro invoice_id(external_user_id, invoice_period, currency) -%}
    {{ text_key([external_user_id, invoice_period, currency]) }}
{%- endmacro %}

{#- The key of an invoice line. Amounts are not part of it, so that a line keeps its key while they change. -#}
{% macro invoice_line_id(
    external_user_id, invoice_period, service_period, line_type, currency, plan_id, price_valid_from, tier_from_credits
) -%}
    {{ text_key([
        external_user_id, invoice_period, service_period, line_type, currency, plan_id,
        "(" ~ price_valid_from ~ ")::string", "(" ~ tier_from_credits ~ ")::string",
    ]) }}
{%- endmacro %}

{#- The order of lines on an invoice: by period, by type as an invoice is made up, by price; unique by the line's key.
    lines: name of the relation. -#}
{% macro invoice_line_order(lines) -%}
    {{ lines }}.service_period,
    case {{ lines }}.line_type when 'fee' then 1 when 'included' then 2 when 'usage' then 3 when 'minimum' then 4 else 5 end,
    coalesce({{ lines }}.plan_id, ''),
    {{ lines }}.price_valid_from,
    coalesce({{ lines }}.tier_from_credits, -1),
    {{ lines }}.line_id
{%- endmacro %}
