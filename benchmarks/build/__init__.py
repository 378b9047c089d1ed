"""How long `dbt build` takes, beside one hand-written statement, and how fast finance's queries are."""
