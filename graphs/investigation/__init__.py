"""What investigators ask of the rings and of the graph behind them, and the ways they ask."""
