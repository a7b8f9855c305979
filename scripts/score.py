"""Score events and entities with a bundle: `python scripts/score.py bundle=… data=world`."""

from graphs.config import run_script

if __name__ == "__main__":
    run_script("score")
