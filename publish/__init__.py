"""What leaves the warehouse. Run it with `python -m publish`.

`focus` writes cost and usage in the columns of FOCUS. `quotas` sets the limits at the vendor that plans and overrides
ask for. `stripe` puts closed invoices to Stripe.
"""
