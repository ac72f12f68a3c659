"""A multi-layer perceptron in torch, as a model type."""
