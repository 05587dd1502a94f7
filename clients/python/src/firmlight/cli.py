"""firmlight-worker: runs a worker from the command line.

firmlight-worker firmlight.workloads:worker --server https://firmlight.example --token-file token
firmlight-worker mymodule:worker
firmlight-worker --exec 'shout=tr a-z A-Z'
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import _exec, protocol
from ._exec import PREFIX
from .errors import ConfigError, WorkerError
from .worker import Worker

DESCRIPTION = """Takes tasks from a Firmlight server and does them.

MODULE:WORKER names a firmlight.Worker in a module; firmlight.workloads:worker has the built-in kinds. With
--exec it may be left out.
It needs a worker token, which the web client and POST /api/v1/tokens make. Each flag is also a variable:
--token-file is FIRMLIGHT_TOKEN_FILE.

The first SIGINT or SIGTERM lets what runs finish; a second one ends at once, and the server gives the
tasks to others."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def main() -> None:
    """The command."""
    try:
        run(sys.argv[1:], os.environ)
    except (WorkerError, OSError) as err:
        print(f"firmlight-worker: {err}", file=sys.stderr)  # noqa: T201 # it is a command
        sys.exit(1)


def run(args: Sequence[str], environ: Mapping[str, str]) -> None:
    """The command without a process around it. Raises WorkerError."""
    options = parse(args, environ)
    _log(options.log_format, options.log_level)
    worker = load(options.worker) if options.worker else Worker()
    apply(worker, options, environ)
    worker.run()


def parse(args: Sequence[str], environ: Mapping[str, str]) -> argparse.Namespace:
    """Read flags and variables; a flag wins, and a variable set to nothing counts as not set."""
    parser = argparse.ArgumentParser(
        "firmlight-worker", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("worker", metavar="MODULE:WORKER", nargs="?")

    def flag(name: str, help_: str, **more: object) -> None:
        value = environ.get(PREFIX + name.upper().replace("-", "_")) or None
        parser.add_argument(f"--{name}", default=value, help=help_, **more)  # type: ignore[arg-type]

    flag("server", "URL of the server (http, https, ws or wss; default http://127.0.0.1:8080)", metavar="URL")
    flag("token", "worker token; the variable or --token-file keep it out of the process list")
    flag("token-file", "file that holds the worker token", metavar="FILE")
    flag("name", "name of this worker, the same after a restart (default: the host's)")
    flag("slots", "tasks at a time, 1 to 1024 (default: the number of CPUs)", metavar="N")
    flag("groups", "ids of the groups to work for, separated by commas (default: all of the token)", metavar="IDS")
    flag("kinds", "kinds to take of those the worker has, separated by commas, or all, or none", metavar="KINDS")
    flag("crawl-delay", "least time between two requests of crawl to one host (default 1s; 0: none)", metavar="TIME")
    flag("log-format", "format of the log on stderr: text or json")
    flag("log-level", "debug, info, warn or error (default info)")
    parser.add_argument(
        "--exec",
        action="append",
        default=[],
        metavar="KIND=COMMAND",
        help="take a kind with a program: input as JSON on stdin, output from stdout, log from stderr; no shell: for "
        "one, write 'sh -c \"…\"'; may be repeated",
    )
    parser.add_argument(
        "--label",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="label shown with this worker; may be repeated",
    )
    parser.add_argument(
        "--crawl-allow-private",
        action="store_true",
        default=environ.get(PREFIX + "CRAWL_ALLOW_PRIVATE", "").lower() in ("1", "true", "yes"),
        help="let crawl reach private, loopback and link-local addresses",
    )
    parser.add_argument("--version", action="version", version=f"firmlight-worker {protocol.__version__}")
    options = parser.parse_args(args)
    if not options.exec and environ.get(PREFIX + "EXEC"):
        options.exec = [environ[PREFIX + "EXEC"]]
    if not options.worker and not options.exec:
        parser.error("MODULE:WORKER is needed, or --exec")
    if not options.label and environ.get(PREFIX + "LABEL"):
        options.label = re.split("[;,]", environ[PREFIX + "LABEL"])
    return options


def load(name: str) -> Worker:
    """The worker that MODULE:WORKER names; modules are looked for in the current folder too."""
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ConfigError(f"{name!r}: write MODULE:WORKER, such as firmlight.workloads:worker")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as err:
        if err.name and (module == err.name or module.startswith(err.name + ".")):
            raise ConfigError(f"there is no module {err.name!r}") from None
        raise
    except AttributeError:
        raise ConfigError(f"module {module!r} has no {attribute!r}") from None
    if not isinstance(found, Worker):
        raise ConfigError(f"{name} is no firmlight.Worker")
    return found


def apply(worker: Worker, options: argparse.Namespace, environ: Mapping[str, str]) -> None:
    """Set what flags and variables say. Raises ConfigError."""
    worker.server = options.server or worker.server
    worker.token = _token(options) or worker.token
    worker.name = options.name or worker.name
    if not worker.token:
        raise ConfigError(
            "no worker token: set FIRMLIGHT_TOKEN or --token-file (the web client makes one under Tokens)"
        )
    if options.slots:
        worker.slots = _slots(options.slots)
    if options.groups:
        worker.groups = options.groups.split(",")
    if options.kinds and options.kinds != "all":
        worker.keep([] if options.kinds == "none" else options.kinds.split(","))
    for kind, command in map(_pair, options.exec):
        worker.kind(kind)(_exec.handler(command, environ, worker.token))
    worker.labels.update(map(_pair, options.label))
    if options.crawl_delay or options.crawl_allow_private:
        from .workloads import settings

        settings.crawl_allow_private = options.crawl_allow_private
        if options.crawl_delay:
            settings.crawl_delay = duration(options.crawl_delay)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"{text!r}: write NAME=VALUE")
    return key, value


def _token(options: argparse.Namespace) -> str:
    if not options.token_file:
        return options.token or ""
    if options.token:
        raise ConfigError("give the token or the file that holds it, not both")
    return Path(options.token_file).read_text().strip()


def _slots(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= protocol.MAX_SLOTS:
        raise ConfigError(f"--slots: {text}, 1 to {protocol.MAX_SLOTS} allowed")
    return int(text)


def duration(text: str) -> float:
    """Seconds of a time such as 1s, 500ms, 1m30s. Raises ConfigError."""
    parts = re.findall(r"([0-9]+(?:\.[0-9]*)?)(ms|s|m|h)", text)
    if text != "0" and "".join(n + u for n, u in parts) != text:
        raise ConfigError(f"{text!r} is no time such as 1s or 500ms")
    return sum(float(n) * _UNITS[u] for n, u in parts)


class _Json(logging.Formatter):
    """A line of JSON for each record, with the keys of the Go worker."""

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {"time": f"{at}.{record.msecs:03.0f}Z", "level": record.levelname, "msg": record.getMessage()}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _log(form: str | None, level: str | None) -> None:
    handler = logging.StreamHandler()
    if form == "json":
        handler.setFormatter(_Json())
    elif form in (None, "text"):
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    else:
        raise ConfigError(f"--log-format: text or json, not {form!r}")
    name = (level or "info").upper()
    if name not in ("DEBUG", "INFO", "WARN", "ERROR"):
        raise ConfigError(f"--log-level: debug, info, warn or error, not {level!r}")
    logging.getLogger("firmlight").setLevel(name)
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
