"""What stands between a request and its answer: limits, keys, the line, the model that answers."""
