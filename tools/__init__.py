"""Checks of the source itself that no ready-made command makes: SQL style, secrets, locks."""
