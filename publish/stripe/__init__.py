"""Closed invoices to Stripe, each line exactly once: the last step of the month (docs/stripe.md).

The warehouse decides the amounts; Stripe collects them. Nothing is created before a look at what stands there, every
request carries a key that is the same in a rerun, and the intent is noted before it, the outcome after it.
"""
