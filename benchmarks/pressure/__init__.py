"""A crowd, and one caller against the others, on a whole stack."""
