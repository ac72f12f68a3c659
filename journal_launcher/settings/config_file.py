"""The settings as TOML: read a file, write what was resolved, explain every key.

Keys come from the fields of LaunchSettings. Tables are [space] and [command], a script's, one for
each model type, together the field `spaces`, [health], [skip] and any number of [[enqueue]].
"""

import dataclasses
import json
import textwrap
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from journal_launcher.base.errors import UsageError
from journal_launcher.base.unknown_names import did_you_mean_file, did_you_mean_or_all
from journal_launcher.base.visible import visible
from journal_launcher.settings.launch_settings import TABLE_GROUPS, LaunchSettings
from journal_launcher.settings.model_types import MODEL_TYPES
from journal_launcher.settings.options import (
    check_value,
    flag,
    is_given,
    option_of,
    parse_duration,
)

__all__ = ["explained", "read_config", "resolved"]

_FIELDS = {field.name: field for field in dataclasses.fields(LaunchSettings)}
_COMMAND_FIELDS = {
    "[command] run": "command",
    "[command] value": "value",
    "[command] report": "report",
}
_TABLES = "Tables"
_KEYS = [
    name
    for name, field in _FIELDS.items()
    if option_of(field).key in (None, "--", f"[{name}]", f"[[{name}]]")
]
_UNSET: tuple[Any, ...] = (None, ())


def read_config(path: Path, others: Collection[str] = ()) -> dict[str, Any]:
    """The fields of LaunchSettings that the file sets; keys in `others` pass unchanged.

    Raises:
        UsageError: no such file, no TOML, an unknown key (with the nearest known one), or a value
            of another type.
    """
    import tomllib  # most launches have no such file

    try:
        content = tomllib.loads(path.read_text("utf-8-sig"))  # as TOML is everywhere, or with a BOM
    except OSError as error:
        hint = did_you_mean_file(path) if isinstance(error, FileNotFoundError) else ""
        raise UsageError(f"--config {path}: {error.strerror}{hint}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--config {path}: expected TOML, {error}") from None
    content = _flatten_command(path, content)
    keys = [*_KEYS, *others]
    values: dict[str, Any] = {}
    for key, value in content.items():
        name = key.replace("-", "_")
        if name in MODEL_TYPES:
            values.setdefault("spaces", {})[name] = value
        elif name in others or key in _COMMAND_FIELDS:
            values[name] = value
        elif name not in keys:
            known = did_you_mean_or_all(name, [*keys, *MODEL_TYPES])
            raise UsageError(f"--config {path}: unknown key {key}{known}")
        else:
            try:
                values[name] = _checked(_FIELDS[name], value)
            except UsageError as error:
                raise UsageError(f"--config {path}: {error}") from None
    return {_COMMAND_FIELDS.get(name, name): value for name, value in values.items()}


def _flatten_command(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """`[command]` as "[command] run" and so on; a plain `command = "…"` stays what it is."""
    for name in ("value", "report"):
        if name in content:
            raise UsageError(f"--config {path}: {name} belongs into the table [command]")
    table = content.get("command")
    if not isinstance(table, dict):
        return content
    for key in table:
        if f"[command] {key}" not in _COMMAND_FIELDS:
            known = did_you_mean_or_all(key, [name.split()[1] for name in _COMMAND_FIELDS])
            raise UsageError(f"--config {path}: unknown key {key} in [command]{known}")
    if not isinstance(table.get("run", ""), str):
        raise UsageError(f"--config {path}: [command] run: expected text, found {table['run']!r}")
    rest = {key: value for key, value in content.items() if key != "command"}
    return rest | {f"[command] {key}": value for key, value in table.items()}


def _checked(field: dataclasses.Field[Any], value: Any) -> Any:
    """`value` if it is of the field's type; a duration may be text, a list may be one value, and
    what has commas a list."""
    option = option_of(field)
    if option.duration and isinstance(value, str):
        try:
            value = parse_duration(value)
        except UsageError as error:
            raise UsageError(f"{flag(field.name)}: {error}") from None
    if option.many and isinstance(value, str):
        value = [value]
    simple = isinstance(value, list) and all(type(part) in (str, int) for part in value)
    if option.commas and simple and value:
        value = ",".join(map(str, value))
    check_value(field, value)
    return value


# --- writing


def resolved(settings: LaunchSettings, *, defaults: bool = True) -> str:
    """Every setting that has a value, as TOML which gives the same settings again.

    With an objective of one's own the table's settings mean nothing and are left out.
    defaults: also those that have their default.
    """
    lines: list[str] = []
    for group, fields in _groups():
        given = {
            field.name: getattr(settings, field.name)
            for field in fields
            if defaults or is_given(settings, field.name)
        }
        section = [f"{name} = {_toml(given[name])}" for name in given if given[name] not in _UNSET]
        unused = (_TABLES,) if settings.job_kind.has_model_type else (_TABLES, *TABLE_GROUPS)
        if section and group not in unused:
            lines += [f"# {group}", *section, ""]
    tables = {
        "space": settings.space,
        "command": _command(settings) or None,
        **(settings.spaces or {}),
        "health": settings.health,
        "skip": settings.skip,
    }
    for table, content in tables.items():
        if content is not None:
            lines += [f"[{table}]", *_assigned(content), ""]
    for params in settings.enqueue or ():
        lines += ["[[enqueue]]", *_assigned(params), ""]
    return "\n".join(lines)


def _assigned(content: Mapping[str, Any]) -> Iterator[str]:
    return (f"{_key(name)} = {_toml(value)}" for name, value in content.items())


def _command(settings: LaunchSettings) -> dict[str, Any]:
    given = {"run": settings.command, "value": settings.value, "report": settings.report}
    return {key: value for key, value in given.items() if value is not None}


def explained(given: dict[str, Any]) -> str:
    """Every key with its help and its default, commented out but for the values `given`."""
    lines: list[str] = []
    for group, fields in _groups():
        lines += [f"# --- {group}", ""]
        for field in fields:
            option = option_of(field)
            choices = f" One of: {', '.join(option.choices)}." if option.choices else ""
            lines += textwrap.wrap(
                option.help + choices, 98, initial_indent="# ", subsequent_indent="# "
            )
            if field.name in given:
                lines.append(f"{field.name} = {_toml(given[field.name])}")
            else:
                lines += [f"# {line}" for line in _default(field).splitlines()]
            lines.append("")
    return "\n".join(lines)


def _default(field: dataclasses.Field[Any]) -> str:
    if example := option_of(field).example:
        return example
    unset = field.default in _UNSET
    return f"{field.name} = " + ("(not set)" if unset else _toml(field.default))


def _groups() -> Iterator[tuple[str, list[dataclasses.Field[Any]]]]:
    """The fields by group; tables last, because a key after a table's head belongs to it."""
    groups: dict[str, list[dataclasses.Field[Any]]] = {}
    for field in sorted(_FIELDS.values(), key=lambda f: (_in_a_table(f), not _of_command(f))):
        groups.setdefault(_TABLES if _in_a_table(field) else option_of(field).group, []).append(
            field
        )
    yield from groups.items()


def _in_a_table(field: dataclasses.Field[Any]) -> bool:
    return _of_command(field) or (option_of(field).key or "").startswith("[")


def _of_command(field: dataclasses.Field[Any]) -> bool:
    return field.name == "command" or (option_of(field).key or "").startswith("[command]")


def _toml(value: Any) -> str:
    match value:
        case bool() | int() | float():
            return json.dumps(value)
        case str():
            # JSON's escapes are TOML's; what would be shown in another form is escaped as well.
            text = json.dumps(value, ensure_ascii=False)
            return "".join(c if visible(c) == c else f"\\u{ord(c):04x}" for c in text)
        case list() | tuple():
            return f"[{', '.join(map(_toml, value))}]"
        case dict():
            return f"{{{', '.join(f'{_key(key)} = {_toml(value[key])}' for key in value)}}}"
    raise TypeError(f"no TOML for {value!r}")


def _key(name: str) -> str:
    bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if bare else _toml(name)
