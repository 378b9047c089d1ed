"""The extractor beside a bare loop, beside dlt, and beside the same requests made one after the other."""
