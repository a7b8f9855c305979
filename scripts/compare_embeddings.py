"""Do two exports say the same: `python scripts/compare_embeddings.py old=… new=… table=user`."""

from graphs.config import run_script

if __name__ == "__main__":
    run_script("compare_embeddings")
