"""The finder: from an event log and scores to ranked, explained, durable rings. `finder.py` reads as the algorithm."""
