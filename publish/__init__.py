"""What leaves the warehouse. Run it with `python -m publish`.

`quotas` brings the limits that plans and overrides ask for to the vendor. It sends, reads the file and lands answers by
the extractor's own means; nothing in `extract` knows of it.
"""
