"""The embedder: vectors of drawings and texts, online over HTTP (app.py) and in bulk (worker.py)."""
