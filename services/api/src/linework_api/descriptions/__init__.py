"""Asking for descriptions, and reading them."""
