"""Classic descriptors by their names. Each is imported only when it is asked for."""

from linework_vision.classic.descriptor import Descriptor, make
from linework_vision.encoder import Encoder
from linework_vision.errors import BadSpec
from linework_vision.spec import Spec


def load_classic(spec: Spec) -> Encoder:
    """Raises BadSpec: descriptors have one form and no options, but for `sift-fv;mirrors=true`."""
    spec.allow(("mirrors",) if spec.prefix == "sift-fv" else ())
    if spec.name:
        raise BadSpec(f"'{spec.prefix}' has one form; '{spec.name}' is none of its.")
    return make(_descriptor(spec), spec.text)


def _descriptor(spec: Spec) -> Descriptor:
    name = spec.prefix
    if name == "lbp":
        from linework_vision.classic.lbp import Lbp

        return Lbp()
    if name == "ahdh":
        from linework_vision.classic.ahdh import Ahdh

        return Ahdh()
    if name == "vishash":
        from linework_vision.classic.vishash import VisHash

        return VisHash()
    if name == "sift-fv":
        from linework_vision.classic.sift_fv import SiftFv

        return SiftFv(mirrors=spec.flag("mirrors", default=False))
    if name == "classic":
        from linework_vision.classic.together import Classic

        return Classic()
    raise BadSpec(f"'{name}' names no classic descriptor.")
