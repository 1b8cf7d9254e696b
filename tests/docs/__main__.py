"""Write the pages that are generated: ``python -m tests.docs``."""

from tests.docs.generated import PAGES

for path, text in PAGES.items():
    path.write_text(text(), encoding="utf-8")
