"""The extractor: from the MIOSA API to the raw layer of the warehouse. Run it with `python -m extract`.

`run` lands everything in order: `sessions` and sandboxes, which are `lists`, then `quotas` and `vendor_figures`, which
are `documents`. A list is read by `paging`, several of them side by side by `page_streams`; `pseudonyms` replaces ids
on the way, and `warehouse` lands the rows. `parquet` writes what was landed into files. Nothing here computes an
amount: rows are kept as the text they were.
"""
