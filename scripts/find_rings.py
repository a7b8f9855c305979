"""Find rings in tables, with the scores of a model or without: `python scripts/find_rings.py data=world`."""

from graphs.config import run_script

if __name__ == "__main__":
    run_script("find_rings")
