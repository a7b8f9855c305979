"""Search hyper-parameters with Optuna: `python scripts/sweep.py trials=20 data=world`."""

from graphs.config import run_script

if __name__ == "__main__":
    run_script("sweep")
