"""Encoders and their indexes."""
