"""Asking for evaluations, and reading what came of them."""
