"""Generate a world of payments with planted fraud rings: `python scripts/make_world.py output=data/world`."""

from graphs.config import run_script

if __name__ == "__main__":
    run_script("make_world")
