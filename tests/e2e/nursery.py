"""A process that has imported the proxy and forks one worker for each line it reads.

So that killing fifty workers in a row takes seconds. What it forks is what `inbond proxy --worker`
runs, in a process of its own; the worker says when it is ready, the nursery when it has ended.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from proxy.logs import configure_logs
from proxy.route import TeacherSettings
from proxy.settings import Settings, load_settings
from proxy.worker import run_worker


def main(directory: Path) -> None:
    """Fork, wait for the end, and say so, until stdin ends."""
    settings = load_settings(directory, os.environ, TeacherSettings)
    for _ in sys.stdin:
        pid = os.fork()
        if not pid:
            _serve(settings)
        os.waitpid(pid, 0)
        sys.stdout.write(json.dumps({"ended": pid}) + "\n")
        sys.stdout.flush()


def _serve(settings: Settings) -> None:
    configure_logs(is_service=True)
    try:
        asyncio.run(run_worker(settings, os.environ, is_shared_port=False))
    finally:
        os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
