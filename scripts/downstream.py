"""What a run's vectors add to boosted trees: `python scripts/downstream.py run=outputs/train/…`."""

from graphs.config import run_script

if __name__ == "__main__":
    run_script("downstream")
