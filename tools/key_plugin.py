"""What a key of the vendor's looks like, for detect-secrets."""

from __future__ import annotations

import re

from detect_secrets.plugins.base import RegexBasedDetector


class MiosaKeyDetector(RegexBasedDetector):
    """Keys start with `msk_`. Made-up ones in tests and docs are short or say that they are made up."""

    secret_type = "MIOSA API key"  # noqa: S105  # pragma: allowlist secret
    denylist = (re.compile(r"\bmsk_(?!demo|test|canary|wrong)[A-Za-z0-9_-]{12,}"),)
