-- The schema of the copy: the one that the warehouse has, so that the same queries run on both.
create schema published.marts
