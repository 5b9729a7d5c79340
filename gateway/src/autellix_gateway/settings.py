"""The gateway's settings: flags, then environment (``AUTELLIX_*``), then a file, then defaults. Read once, at start."""

from typing import Annotated, Self

from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from autellix_core.levels import Levels
from autellix_core.placement import LeastUsed, Local, PlacementPolicy, RoundRobin
from autellix_core.priority import Policy
from autellix_gateway.config_file import ConfigFile
from autellix_gateway.table.protocol import Limits

__all__ = ["Settings"]

_PLACEMENTS = ("local", "least", "round-robin")


class Settings(BaseSettings):
    """Everything that can be set. Times are seconds."""

    model_config = SettingsConfigDict(
        env_prefix="AUTELLIX_",
        extra="forbid",
        cli_parse_args=False,
        cli_kebab_case=True,
        cli_prog_name="python -m autellix_gateway",
        cli_implicit_flags=True,
        env_ignore_empty=True,
        use_attribute_docstrings=True,
    )

    config: str | None = None
    """YAML file of settings by the names that they have here, no secrets; flags and environment win over it."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(8080, ge=0, le=65535)
    """Port to listen on."""
    redis_url: str = "redis://127.0.0.1:6379/0"
    """The process table's Redis (``redis://``, ``rediss://`` or ``unix://``)."""
    pool: str = Field("default", pattern=r"^[A-Za-z0-9._-]{1,64}$")
    """Name of the pool of engines; gateways of one pool share one process table."""
    engines: Annotated[tuple[str, ...], NoDecode] = ()
    """Base URLs of the engines, separated by commas."""
    policy: Policy = Policy.ATLAS
    """Order of calls inside the engines."""
    placement: str = Field("local", json_schema_extra={"enum": list(_PLACEMENTS)})
    """Which engine a call goes to: local (Algorithm 2), least or round-robin."""
    short_tokens: int = Field(2048, ge=0)
    """Local placement: calls of at most so many prompt tokens go to the least-used engine."""
    overflow_calls: int | None = Field(None, ge=1)
    """Local placement: leave a home that holds so many calls more than the least-used engine; unset never does."""
    chars_per_token: float = Field(4.0, gt=0)
    """Characters a prompt token stands for, where the gateway must guess a prompt's length."""
    levels: int = Field(10, ge=1, le=64)
    """K, the number of queues in an engine; the same as the engines'."""
    level_first_s: float = Field(0.25, gt=0)
    """Service that the first level holds."""
    level_ratio: float = Field(2.0, gt=1)
    """How much wider each level is than the one before."""
    session_secrets: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), validation_alias=AliasChoices("session_secrets", "AUTELLIX_SESSION_SECRET", "AUTELLIX_SESSION_SECRETS")
    )
    """Secrets of session tokens, separated by commas: the first signs, all are accepted. Unset: a random one."""
    session_token_ttl_s: float = Field(86_400.0, gt=0)
    """How long a session token is good for."""
    session_headers: Annotated[tuple[str, ...], NoDecode] = ("x-session-id",)
    """Headers in which agents name their program, first match wins; ``-`` and ``_`` are alike."""
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """Keys that clients must use, separated by commas. Unset: any key is taken, and each is a tenant."""
    operator_key: SecretStr | None = None
    """Key that the operator shows. Unset: its routes are not enabled."""
    returning_within_s: float = Field(60.0, gt=0)
    """A program between two calls counts as one that comes back if it was heard of within so long."""
    engine_api_key: SecretStr | None = None
    """Key that the gateway shows to the engines; clients' keys stop at the gateway."""
    session_ttl_s: float = Field(3600.0, gt=0)
    """A program without a call for so long expires."""
    remember_s: float = Field(600.0, gt=0)
    """How long ended programs stay readable."""
    lease_s: float = Field(30.0, gt=0)
    """A call whose gateway was not heard of for so long is swept."""
    programs_per_tenant: int = Field(10_000, ge=1)
    """Open programs that one key may hold; calls beyond it are served as programs of one call."""
    max_body_bytes: int = Field(32 * 2**20, ge=1024)
    """Largest request body."""
    redis_password: SecretStr | None = None
    """Redis' password, where the URL holds none."""
    table_timeout_s: float = Field(0.5, gt=0)
    """How long one round trip to Redis may take before calls are served without it."""
    engine_connect_s: float = Field(5.0, gt=0)
    """How long connecting to an engine may take."""
    engine_silence_s: float = Field(600.0, gt=0)
    """How long an engine may send nothing within a call."""
    health_interval_s: float = Field(1.0, gt=0)
    """How often each engine's health is asked for."""
    prefill_tokens_per_s: float = Field(5000.0, gt=0)
    """Guess for engines that report nothing: how fast a prompt is read."""
    shutdown_s: float = Field(30.0, ge=0)
    """How long calls under way may take to end after SIGTERM."""
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$")
    """Least severity that is logged."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The file comes last: which one it is, is known from those before."""
        return init_settings, env_settings, ConfigFile(settings_cls)

    @field_validator("engines", "session_secrets", "session_headers", "api_keys", mode="before")
    @classmethod
    def _split(cls, given: object) -> object:
        if isinstance(given, list) and len(given) == 1 and isinstance(given[0], str):
            given = given[0]
        return [part.strip() for part in given.split(",") if part.strip()] if isinstance(given, str) else given

    @field_validator("engines")
    @classmethod
    def _engine_urls(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for url in given:
            if not url.startswith(("http://", "https://")):
                raise ValueError(f"an engine is given by its base URL, such as http://127.0.0.1:8000, not {url!r}")
        return tuple(url.rstrip("/").removesuffix("/v1") for url in given)

    @field_validator("placement")
    @classmethod
    def _known_placement(cls, given: str) -> str:
        if given not in _PLACEMENTS:
            raise ValueError(f"placement is one of {', '.join(_PLACEMENTS)}, not {given!r}")
        return given

    @model_validator(mode="after")
    def _at_least_one_engine(self) -> Self:
        if not self.engines:
            raise ValueError("no engine is given: pass --engines URL,URL or set AUTELLIX_ENGINES")
        return self

    def engine_levels(self) -> Levels:
        """The engines' queues, as far as the gateway must know them (which level a program is at)."""
        return Levels.geometric(self.levels, self.level_first_s, self.level_ratio)

    def placement_policy(self) -> PlacementPolicy:
        """The placement rule by its name."""
        match self.placement:
            case "least":
                return LeastUsed()
            case "round-robin":
                return RoundRobin()
            case _:
                return Local(self.short_tokens, self.overflow_calls)

    def limits(self) -> Limits:
        """What bounds the process table."""
        return Limits(
            session_ttl_s=self.session_ttl_s,
            remember_s=self.remember_s,
            lease_s=self.lease_s,
            programs_per_tenant=self.programs_per_tenant,
        )
