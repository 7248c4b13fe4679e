"""The gateway and the ingest worker. This package never imports torch."""
