"""Write the pages that are generated and the catalogue: ``python -m tests.docs``."""

from tests.docs.generated import PAGES
from tests.support.messages import MO, PO, catalogue, compiled, completed

for path, text in PAGES.items():
    path.write_text(text(), encoding="utf-8")
PO.write_bytes(completed(catalogue()))
MO.write_bytes(compiled(catalogue()))
