"""Build the temporal graph, keep it as memory-mapped arrays: `python scripts/build_graph.py data=world`."""

from graphs.config import run_script

if __name__ == "__main__":
    run_script("build_graph")
