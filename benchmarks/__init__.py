"""How fast things are, measured as whole processes side by side. Nothing else imports this."""
