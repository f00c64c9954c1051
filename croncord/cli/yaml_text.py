"""Reading YAML as people mean it in job files, which is the core schema of YAML 1.2.

PyYAML reads YAML 1.1, in which the field `on` is a truth value, `022` is eighteen and `22:30` a number of
minutes. So only its parser is used: here true, false, null and plain decimal numbers are anything but text.
Names that stand twice are refused instead of the last one winning, and so are tags.

PyYAML comes with `pip install 'croncord[yaml]'`; nothing else needs it, and nodes never do.
"""

import re
from typing import Any, Final

from croncord.errors import ConfigError

_WORDS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_BROKEN = re.compile(r"[-+]?(0|[1-9][0-9]*)\.[0-9]+([eE][-+]?[0-9]+)?")
_TAGS: Final = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map")}


def parse_yaml(text: str) -> Any:
    """Return what the text describes.

    Raises ValueError saying where it is wrong, ConfigError where PyYAML is not installed.
    """
    try:
        import yaml  # noqa: PLC0415  # optional: only who writes YAML needs it
    except ImportError:
        raise ConfigError(
            "reading YAML needs PyYAML, which is not installed",
            hint="pip install 'croncord[yaml]', or write TOML or JSON.",
        ) from None
    try:
        root = yaml.compose(text, Loader=yaml.BaseLoader)
        return None if root is None else _value(root)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _value(node: Any) -> Any:
    if node.tag not in _TAGS:
        raise ValueError(f"line {node.start_mark.line + 1}: tags such as {node.tag!r} are not read")
    if node.id == "sequence":
        return [_value(item) for item in node.value]
    if node.id == "mapping":
        return _mapping(node)
    return node.value if node.style else _plain(node.value)


def _mapping(node: Any) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if key.id != "scalar":
            raise ValueError(f"line {line}: a name must be text")
        if key.value in made:
            raise ValueError(f"line {line}: {key.value!r} stands here twice")
        made[key.value] = _value(value)
    return made


def _plain(text: str) -> Any:
    """Return what a scalar without quotes means."""
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text) and len(text) < 20:
        return int(text)
    return float(text) if _BROKEN.fullmatch(text) else text
