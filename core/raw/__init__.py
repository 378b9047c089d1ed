"""The raw layer: its tables (`schema.sql`), and the one place that adds rows to them.

Rows are staged in a temporary table as they come, and landed load by load once a load is proven complete. The work is
set-based SQL. Python reads single rows only to compare JSON texts that differ in bytes, to normalize repeated keys, and
to decide ids that are listed with more than one content.
"""
