"""Makes docs/invoice.png from the demo: `make demo`, then `python -m publish.invoices.picture`.

The page is what `publish invoices` writes as PDF: the closed invoice with the most lines of a customer with a name.
"""

from __future__ import annotations

import os
from pathlib import Path

from core.settings import read_settings_as
from publish.files import write_whole
from publish.invoices.documents import prepare_documents, read_documents
from publish.invoices.layout import Build
from publish.invoices.typesetting import Typesetter
from publish.settings import PublishSettings
from publish.warehouse import open_marts

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "invoice.png"
LONGEST = """
select invoices.invoice_period, invoices.external_user_id
from marts.fct_invoices as invoices inner join marts.dim_customers using (external_user_id)
where invoices.status = 'closed'
order by invoices.line_count desc, invoices.invoice_period desc, invoices.external_user_id
limit 1
"""


def main() -> None:
    """Write the picture."""
    settings = read_settings_as(
        PublishSettings, warehouse=os.environ.get("WAREHOUSE_PATH") or str(ROOT / "demo.duckdb")
    )
    with open_marts(settings, allow_unproven=True) as marts:
        ((period, user),) = marts.database.query(LONGEST)
        count, _ = prepare_documents(marts.database, period, [user])
        ((document,),) = read_documents(marts.database, count, 1)
        typesetter = Typesetter(PICTURE.parent, Build(marts.built_at, marts.unproven), None)
        write_whole(PICTURE, typesetter.picture(document))


if __name__ == "__main__":
    main()
