"""From a model's name on the wire to its canonical id: each host writes names in its own way.

A canonical id is the vendor's repository name without its owner, in lower case; a product that only
its vendor serves is named after the contract, so that no licence of weights speaks for it by chance.
"""

import re
from typing import Literal

__all__ = ["Naming", "dateless", "normalised"]

type Naming = Literal["listed", "product", "repository", "bedrock", "vertex"]
"""How a host's names become ids.

`listed`: only names in the registry have one. `product`: the contract and the name, without dates and
aliases. `repository`: the last part of the name of a repository. `bedrock`, `vertex`: those clouds' own.
"""

_DATE = re.compile(r"[-@](\d{4}-\d{2}-\d{2}|\d{8}|\d{4})$", re.ASCII)
_ALIAS = re.compile(r"[-@](latest|default)$")
_VARIANT = re.compile(r":[a-z0-9._-]+$")
_ID = re.compile(r"[a-z0-9][a-z0-9._/-]{0,119}")
_REGION = re.compile(r"^(us|eu|apac|global|us-gov|jp|au|ca|sa)\.")
_ARN = re.compile(r"^arn:[^:]*:bedrock:[^:]*:[^:]*:(foundation-model|inference-profile)/")
_BEDROCK_VERSION = re.compile(r"(-v\d+)?(:\d+)?(:[a-z0-9]+)?$")
_VERTEX_PATH = re.compile(r"^(?:projects/[^/]+/locations/[^/]+/)?(?:publishers/([^/]+)/)?models/")


def dateless(name: str) -> str:
    """A name without the date at its end, if it has one."""
    return _DATE.sub("", name)


def normalised(naming: Naming, contract: str, name: str) -> str | None:
    """The canonical id that a host's way of naming gives; None where it gives none."""
    match naming:
        case "listed":
            return None
        case "product":
            product = dateless(_ALIAS.sub("", name.lower()))
            found = product and f"{contract}/{product}"
        case "repository":
            found = _VARIANT.sub("", name.lower()).rpartition("/")[2]
        case "bedrock":
            found = _bedrock(name.lower())
        case "vertex":
            found = _ALIAS.sub("", dateless(_VERTEX_PATH.sub("", name.lower())))
    return found if _ID.fullmatch(found) else None


def _bedrock(name: str) -> str:
    """`us.anthropic.claude-x-20250101-v1:0` is `claude-x`.

    An application's inference profile is the customer's own word and names no model.
    """
    if name.startswith("arn:") and not _ARN.match(name):
        return ""
    plain = _REGION.sub("", _ARN.sub("", name))
    _, dot, model = plain.partition(".")
    return dateless(_BEDROCK_VERSION.sub("", model)) if dot else ""
