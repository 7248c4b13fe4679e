"""Composite sheets: their printed labels are read, and they are cut into drawings where that is certain."""
