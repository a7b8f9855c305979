"""Judge a finished run again: `python scripts/evaluate.py run=outputs/train/…`."""

from graphs.config import run_script

if __name__ == "__main__":
    run_script("evaluate")
