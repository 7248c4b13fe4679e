"""Evaluation: rankings, measures, the protocols of the papers, and the job that runs them (docs/evaluation.md)."""
