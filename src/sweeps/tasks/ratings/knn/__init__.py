"""k-NN with the predictions of Surprise, from an engine whose work trials share."""
