"""Names of files that every file system takes, whatever the ids are, and that no two invoices share."""

from __future__ import annotations

import re

from publish.invoices.documents import Document

_SLUG_LENGTH = 40


def slug(text: str) -> str:
    """What of an id can stand in any file name: lower-case letters, digits and single dashes; perhaps nothing.

    >>> slug("Ann O'Neil / ../ =cmd")
    'ann-o-neil-cmd'
    >>> slug("***")
    ''
    """
    return re.sub("[^a-z0-9]+", "-", text.lower())[:_SLUG_LENGTH].strip("-")


def file_stem(document: Document) -> str:
    """The name of a document's files, without their ending.

    Numbers hold no underscore, and differ by more than case; a document without a number is named by its invoice id,
    which is a hash. So two names never differ by case alone, and none begins like a device of Windows.
    """
    first = document.document_number or ("draft" if document.is_open else "invoice")
    parts = [first, slug(document.external_user_id)]
    if document.document_number is None:
        parts += [document.currency.lower(), document.invoice_id]
    return "_".join(filter(None, parts))
