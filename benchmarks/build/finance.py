"""Ten statements that finance people write by hand on the marts. `{user}` and `{period}` are drawn anew each time."""

QUERIES = {
    "what a user used in a period": (
        "select credits, session_count, peak_concurrent from marts.fct_user_period_credits"
        " where external_user_id = '{user}' and billing_period = '{period}'"
    ),
    "a user's history": (
        "select billing_period, credits from marts.fct_user_period_credits where external_user_id = '{user}' order by 1"
    ),
    "the dearest users of a period": (
        "select external_user_id, credits from marts.fct_user_period_credits"
        " where billing_period = '{period}' order by credits desc limit 20"
    ),
    "totals by period": (
        "select billing_period, sum(credits), count(*) from marts.fct_user_period_credits group by 1 order by 1"
    ),
    "an invoice": (
        "select line_type, description, quantity_credits, amount from marts.fct_invoice_lines"
        " where external_user_id = '{user}' and invoice_period = '{period}'"
    ),
    "revenue by period and currency": (
        "select invoice_period, currency, sum(amount) from marts.fct_invoices group by all order by all"
    ),
    "who is close to a limit": (
        "select external_user_id, quota, utilization from marts.fct_quota_utilization"
        " where billing_period = '{period}' and status in ('warning', 'at_limit', 'over_limit')"
        " order by utilization desc nulls last limit 50"
    ),
    "a user's days": (
        "select usage_date, credits from marts.fct_user_day_credits"
        " where external_user_id = '{user}' and billing_period = '{period}' order by 1"
    ),
    "a user's sessions of a period": (
        "select session_id, credits from marts.fct_session_period_credits"
        " where external_user_id = '{user}' and billing_period = '{period}' order by credits desc"
    ),
    "whether a period reconciles": (
        "select check_name, status, count(*) from marts.rpt_reconciliation"
        " where billing_period = '{period}' group by all"
    ),
}
