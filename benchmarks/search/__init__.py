"""Speed and recall of search under filters: Postgres with the planner, beside Qdrant's engine in process."""
