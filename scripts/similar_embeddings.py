"""Who is most like this one: `python scripts/similar_embeddings.py store=… table=user id=u1`."""

from graphs.config import run_script

if __name__ == "__main__":
    run_script("similar_embeddings")
