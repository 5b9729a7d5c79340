"""Settings from a YAML file, below flags and environment; and what such a file may hold, as a JSON schema.

Secrets are refused there: such files are ConfigMaps, and end in version control.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import yaml
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from autellix_core.errors import AutellixError

__all__ = ["ConfigFile", "ConfigRefused", "schema"]

_HERE = "config"
"""The setting that names the file."""


class ConfigRefused(AutellixError):
    """The file cannot be read, or holds what it may not."""


class ConfigFile(PydanticBaseSettingsSource):
    """The file that the setting ``config`` names, by flag or environment. Raises :class:`ConfigRefused`."""

    def __call__(self) -> dict[str, Any]:
        """Its settings, or none where no file is named."""
        path = self.current_state.get(_HERE)
        return _settings_of(Path(path), self.settings_cls) if path else {}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The base asks for it; the file is read as a whole."""
        return None, field_name, False


def schema(settings: type[BaseSettings]) -> dict[str, Any]:
    """What the file may hold, as a JSON schema."""
    full = settings.model_json_schema(by_alias=False)
    allowed = {name: of for name, of in full["properties"].items() if name not in _refused(settings)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **full,
        "properties": allowed,
        "additionalProperties": False,
    }


def _settings_of(path: Path, settings: type[BaseSettings]) -> dict[str, Any]:
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigRefused(f"The configuration file {path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise ConfigRefused(f"The configuration file {path} is not YAML: {' '.join(str(error).split())}.") from error
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ConfigRefused(f"The configuration file {path} holds no settings by name, such as `port: 8080`.")
    for name in given:
        if name not in settings.model_fields or name == _HERE:
            raise ConfigRefused(f"The configuration file {path} has {name!r}, which is no setting; see --print-schema.")
        if name in _refused(settings):
            raise ConfigRefused(
                f"The configuration file {path} has the secret {name!r}; give it by environment instead, "
                f"as {_variable(name)}."
            )
    if _has_password(given.get("redis_url")):
        raise ConfigRefused(
            f"The configuration file {path} has a password in 'redis_url'; give the URL by environment instead, "
            f"as {_variable('redis_url')}."
        )
    return {str(name): value for name, value in given.items() if value is not None}


def _refused(settings: type[BaseSettings]) -> frozenset[str]:
    secret = {name for name, field in settings.model_fields.items() if _is_secret(field.annotation)}
    return frozenset({_HERE, *secret})


def _is_secret(annotation: object) -> bool:
    return annotation is SecretStr or any(_is_secret(part) for part in get_args(annotation))


def _has_password(url: object) -> bool:
    try:
        return isinstance(url, str) and bool(urlsplit(url).password)
    except ValueError:
        return False


def _variable(name: str) -> str:
    return f"AUTELLIX_{name.upper()}"
