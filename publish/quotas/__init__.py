"""Quotas at the vendor: what differs from what plans and overrides ask for, changing it, and a user's headroom."""
