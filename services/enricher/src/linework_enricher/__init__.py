"""Enrichment: texts about drawings, from facts and by models, each with its provenance."""
