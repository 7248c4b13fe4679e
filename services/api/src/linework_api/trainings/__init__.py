"""Asking for trainings."""
