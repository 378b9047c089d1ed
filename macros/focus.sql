{#- Texts and figures of the FinOps Open Cost and Usage Specification (FOCUS). -#}

{#-
    An id or a text as FOCUS wants it: ASCII without control characters. A text that has others is percent-encoded as UTF-8 (RFC 3986),
    whole, so that decoding gives it back. So is one with a percent sign, which decoding would change, one with outer blanks, and one that
    a spreadsheet would take for a formula. A text without percent signs is verbatim.
-#}
{% macro focus_text(text) -%}
    case
        when {{ full_match(text, "[!-$&-*,./-<>?A-~]([ -$&-~]*[!-$&-~])?") }} then {{ text }}
        else {{ percent_encoded(text) }}
    end
{%- endmacro %}

{#- Tags as a flat JSON object, with the ids verbatim. tags: SQL of the value by key; a null has no tag. -#}
{% macro focus_tags(tags) -%}{{ return(adapter.dispatch("focus_tags")(tags)) }}{%- endmacro %}
{% macro default__focus_tags(tags) -%}
    {#- A merge patch leaves out nulls. -#}
    json_merge_patch(
        '{}', json_object({% for key, value in tags.items() %}'{{ focus_tag_prefix() }}{{ key }}', {{ value }}{{ ", " if not loop.last }}{% endfor %})
    )::varchar
{%- endmacro %}
{% macro spark__focus_tags(tags) -%}
    to_json(named_struct({% for key, value in tags.items() %}'{{ focus_tag_prefix() }}{{ key }}', {{ value }}{{ ", " if not loop.last }}{% endfor %}))
{%- endmacro %}

{#- FOCUS asks for a prefix of all tags that the provider defines. -#}
{% macro focus_tag_prefix() -%}miosa_billing/{%- endmacro %}

{#- The product of two amounts in whole billionths, exactly, DECIMAL(38,18). -#}
{% macro product_of_nano(amount, price) -%}
    (
        (({{ amount }})::{{ wide_integer() }} * ({{ price }})::{{ wide_integer() }})::decimal(38, 0)
        * 0.000000000000000001::decimal(18, 18)
    )
{%- endmacro %}

{#- The columns of FOCUS that describe the service. -#}
{% macro focus_service_columns() -%}
    'Compute' as ServiceCategory,
    'Sandboxes' as ServiceName,
    'Virtual Machines' as ServiceSubcategory
{%- endmacro %}

{#- The columns for who offers, issues and hosts: ProviderName and PublisherName up to FOCUS 1.2, the two others from 1.3 on. name: a variable. -#}
{% macro focus_name_columns(name) -%}
    {%- for column in ["InvoiceIssuerName", "ProviderName", "PublisherName", "ServiceProviderName"] %}
    {{ focus_text_variable(name) }} as {{ column }},
    {%- endfor %}
    {{ focus_text_variable("focus_vendor_name") }} as HostProviderName
{%- endmacro %}

{#- A variable that is a name: printable ASCII without outer blanks, as FOCUS wants texts to be. -#}
{% macro focus_text_variable(name) -%}
    {%- set value = var(name) | string -%}
    {%- if not modules.re.fullmatch("[!-~]([ -~]*[!-~])?", value) -%}
        {{ exceptions.raise_compiler_error(
            "the variable " ~ name ~ " is '" ~ value ~ "': FOCUS wants a name of printable ASCII characters, without blanks at its ends"
        ) }}
    {%- endif -%}
    {{ text_literal(value) }}
{%- endmacro %}
