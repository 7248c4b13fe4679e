"""The papers' methods, and Linework's own, trained and judged under one protocol: docs/benchmarks/training.md."""
