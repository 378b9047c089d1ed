"""`publish report`: one billing period as a page that needs nothing but a browser."""
