"""Encoders: drawings (and texts) to unit vectors. `load(spec)` gives one; see encoder.py for what it promises."""

from linework_vision.encoder import Encoder
from linework_vision.registry import load, register

__all__ = ["Encoder", "load", "register"]
