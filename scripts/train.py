"""Train a model and judge it beside the floors: `python scripts/train.py data=world trainer.epochs=5`."""

from graphs.config import run_script

if __name__ == "__main__":
    run_script("train")
