"""Trained runs in use: scores of batches, model files, and the predictor in front of them."""
