"""The papers' descriptors without learned weights, beside HOG: what a trained encoder has to beat."""
