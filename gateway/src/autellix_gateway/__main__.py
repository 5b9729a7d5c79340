"""``python -m autellix_gateway``: reads the settings, builds the gateway, serves until told to stop.

``--print-schema`` prints what a configuration file may hold, as a JSON schema, and ends.
"""

import asyncio
import json
import logging
import sys

import uvicorn
from pydantic import ValidationError

from autellix_gateway.app import create_app
from autellix_gateway.config_file import ConfigRefused, schema
from autellix_gateway.engines.transport import HttpTransport
from autellix_gateway.settings import Settings
from autellix_gateway.table.fallback import FallbackTable
from autellix_gateway.table.redis import connect

__all__ = ["main"]


def main() -> int:
    """Serve. Returns the exit status: 2 for settings that cannot work."""
    if sys.argv[1:] == ["--print-schema"]:
        print(json.dumps(schema(Settings), indent=2))  # noqa: T201
        return 0
    try:
        settings = Settings(_cli_parse_args=True)
    except ConfigRefused as refused:
        print(f"autellix gateway: {refused}", file=sys.stderr)  # noqa: T201
        return 2
    except ValidationError as error:
        for problem in error.errors():
            where = "-".join(str(part) for part in problem["loc"]).replace("_", "-")
            print(f"autellix gateway: {f'--{where}: ' if where else ''}{problem['msg']}", file=sys.stderr)  # noqa: T201
        return 2
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if not settings.session_secrets:
        logging.getLogger("autellix_gateway").warning(
            "no AUTELLIX_SESSION_SECRET is set: session tokens are good until this process ends, and for it alone"
        )
    # Proxied calls are cut off `shutdown_s` after SIGTERM; what they cost is settled after that.
    with asyncio.Runner(loop_factory=_config(settings).get_loop_factory()) as runner:
        return runner.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    primary = connect(
        settings.redis_url,
        settings.pool,
        settings.limits(),
        timeout_s=settings.table_timeout_s,
        password=settings.redis_password.get_secret_value() if settings.redis_password else None,
    )
    config = _config(settings)
    config.app = create_app(
        settings,
        table=FallbackTable(primary, settings.limits()),
        transport=HttpTransport(connect_s=settings.engine_connect_s, silence_s=settings.engine_silence_s),
    )
    server = uvicorn.Server(config)
    await server.serve()
    return 0 if server.started else 1


def _config(settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app="autellix_gateway.app:create_app",
        host=settings.host,
        port=settings.port,
        log_level=settings.log_level,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=round(settings.shutdown_s),
        lifespan="on",
    )


if __name__ == "__main__":
    sys.exit(main())
