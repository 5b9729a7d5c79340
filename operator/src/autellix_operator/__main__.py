"""``python -m autellix_operator``: reads the settings, builds the operator, works until told to stop."""

import asyncio
import logging
import signal
import sys

from pydantic import ValidationError

from autellix_operator.app import release, run
from autellix_operator.settings import Settings

__all__ = ["main"]


def main() -> int:
    """Work. Returns the exit status: 2 for settings that cannot work."""
    try:
        settings = Settings(_cli_parse_args=True)
    except ValidationError as error:
        for problem in error.errors():
            where = "-".join(str(part) for part in problem["loc"]).replace("_", "-")
            print(f"autellix operator: {f'--{where}: ' if where else ''}{problem['msg']}", file=sys.stderr)  # noqa: T201
        return 2
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("kopf").setLevel(max(logging.WARNING, logging.getLogger().level))
    return asyncio.run(_until_told(settings))


async def _until_told(settings: Settings) -> int:
    if settings.release:
        released = await release(settings)
        logging.getLogger("autellix_operator").info("objects that were let go: %d", released)
        return 0
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run(settings, stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
