"""The vendor's API over HTTP: `client` sends and retries, `pages` cuts lists into rows, `documents` reads the rest."""
