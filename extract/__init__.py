"""The extractor: from the MIOSA API to the raw layer of the warehouse. Run it with `python -m extract`.

`run` decides what is asked for, `paging` reads lists, and `warehouse` lands rows. Two options act on the way:
`pseudonyms` replaces external ids before anything is stored, and `parquet` copies what landed into files. Nothing here
computes an amount: rows are stored as the text that came.
"""
