"""An imaginary patent office: it draws designs and publishes them exactly as USPTO packages.

`publish` writes a whole sample corpus; `plan` decides one, and `package`, `write_package`, `write_folder` and
`write_weeks` write the designs a test needs, after `dataclasses.replace` has made them what it needs.
"""

from .captions import Caption, captions
from .design import Citation, Design, Hague, Parent, Person, Priority
from .office import plan, publish, write_weeks
from .packages import members, package, write_folder, write_package, write_week
from .sheets import Sheet, draw, tiff

__all__ = [
    "Caption",
    "Citation",
    "Design",
    "Hague",
    "Parent",
    "Person",
    "Priority",
    "Sheet",
    "captions",
    "draw",
    "members",
    "package",
    "plan",
    "publish",
    "tiff",
    "write_folder",
    "write_package",
    "write_week",
    "write_weeks",
]
