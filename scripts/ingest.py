"""Read and validate tables by config, keep the event log: `python scripts/ingest.py data=world`."""

from graphs.config import run_script

if __name__ == "__main__":
    run_script("ingest")
