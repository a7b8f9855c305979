"""Vectors of entities and events for a downstream model: `python scripts/export_embeddings.py bundle=… data=world`."""

from graphs.config import run_script

if __name__ == "__main__":
    run_script("export_embeddings")
