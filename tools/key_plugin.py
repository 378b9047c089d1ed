"""What a key of the vendor's looks like, for detect-secrets."""

from __future__ import annotations

import re

from detect_secrets.plugins.base import RegexBasedDetector


class MiosaKeyDetector(RegexBasedDetector):
    """Keys start with `msk_`, some with a word for their kind after it. Made-up ones are short or say what they are."""

    secret_type = "MIOSA API key"  # noqa: S105  # pragma: allowlist secret
    denylist = (re.compile(r"\bmsk_(?:(?:u|a|p|live)_)?+(?!demo|test|canary|wrong)[A-Za-z0-9_-]{12,}"),)
