"""Ingest: from packages to rows and derivatives."""
