"""Search by drawing, limited by date: the product."""
