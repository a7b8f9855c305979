"""The causal GraphSAGE on a temporal graph: encode, train, evaluate, calibrate, score."""
