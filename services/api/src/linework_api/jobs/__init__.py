"""Reading, following and cancelling jobs."""
