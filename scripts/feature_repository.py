"""A Feast feature repository over an embedding store: `python scripts/feature_repository.py store=…`."""

from graphs.config import run_script

if __name__ == "__main__":
    run_script("feature_repository")
