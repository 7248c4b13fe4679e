"""Batch searches: a list of queries, each against the corpus before its own date, as one job on one snapshot."""
