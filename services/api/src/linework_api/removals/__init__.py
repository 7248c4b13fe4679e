"""Withdrawing patents, restoring them, and erasing them for good."""
