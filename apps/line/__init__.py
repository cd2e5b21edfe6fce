"""The line by itself: from what was recorded to a model in use, turn after turn (`shopfloor line`)."""
