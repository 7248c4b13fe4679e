"""Linework on one machine: embedded Postgres and Redis, every service under a supervisor, and a demo."""
