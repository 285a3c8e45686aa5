"""Pages: one HTML file that holds all of a run, or of whatever a `Document` is made of."""

from tf_tickets.lab.show.page.document import Document, Section
from tf_tickets.lab.show.page.run_page import page_of, write_page

__all__ = ["Document", "Section", "page_of", "write_page"]
