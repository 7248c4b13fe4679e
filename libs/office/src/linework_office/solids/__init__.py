"""The imaginary office's objects: families of parametric solids, each from a throw of dice to a model."""

from . import carried, crockery, devices, fittings, furniture, leisure, lighting, tools, vehicles
from .families import FAMILIES, Family, Model, family

__all__ = ["FAMILIES", "Family", "Model", "family"]
__all__ += ["carried", "crockery", "devices", "fittings", "furniture", "leisure", "lighting", "tools", "vehicles"]
