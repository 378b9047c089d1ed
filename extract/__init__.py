"""The extractor: from the MIOSA API to the raw layer of the warehouse. Run it with `python -m extract`.

Data flows one way: `client` sends, `pages` and `listing` make rows of what comes back, `warehouse` lands them, and
`run` decides what is asked for; where told to, `pseudonyms` replaces external ids on the way, and `parquet` writes what
was landed into files. Nothing here computes an amount: rows are kept as the text they were.
"""
