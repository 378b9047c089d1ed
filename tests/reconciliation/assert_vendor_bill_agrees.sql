-- Rule 33: the vendor's invoices and its balance agree with ours. A difference fails the build only if vendor_invoice_check is `error`.
-- If this fails or warns: marts.rpt_vendor_invoice_differences lists the days and users of an invoice; docs/vendor_bill.md says what to do.
{{ config(severity=word_variable("vendor_invoice_check", ["warn", "error"])) }}

select
    'invoice ' || invoice_id as what,
    difference_credits
from {{ ref("rpt_vendor_invoices") }}
where status = 'mismatch'
union all
select
    'balance of ' || balance_date::string as what,
    coalesce(balance_difference_credits, usage_difference_credits) as difference_credits
from {{ ref("rpt_vendor_balance") }}
where status = 'mismatch'
