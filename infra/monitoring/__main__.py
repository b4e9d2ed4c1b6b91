"""`python -m infra.monitoring`: what Prometheus reads of Granary."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from threading import Event

from infra.monitoring.endpoint import serve, write_textfile
from infra.monitoring.published import look
from ingestion.destination.target import current_target
from ingestion.environment import exiting
from warehouse.errors import BuildError

PORT = 9488
FILE = "/var/lib/prometheus/node-exporter/granary.prom"  # Debian's node_exporter reads this folder


def _say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    """Run one command. Returns the exit status: 0 done, 1 failed, 2 wrongly asked."""
    parser = argparse.ArgumentParser(prog="python -m infra.monitoring", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="answer Prometheus on the loopback")
    serving.add_argument("--port", type=int, default=PORT, help="default: %(default)s")
    serving.add_argument("--interval", type=float, default=60, help="seconds between two looks (default: %(default)g)")
    writing = commands.add_parser("textfile", help="write the metrics into a file, for node_exporter")
    writing.add_argument("file", nargs="?", default=FILE, help="default: %(default)s")
    commands.add_parser("published", help="look once at what is published: sizes of tables, values of metrics")
    arguments = parser.parse_args()
    with exiting(BuildError) as status:
        target = current_target()
        if arguments.command == "serve":
            if arguments.interval <= 0:
                parser.error("--interval is a number of seconds above 0")
            ended = Event()
            for each in (signal.SIGINT, signal.SIGTERM):
                signal.signal(each, lambda *_: ended.set())
            serve(target, arguments.port, arguments.interval, _say, ended)
        elif arguments.command == "textfile":
            return 0 if write_textfile(target, Path(arguments.file), _say) else 1
        else:
            look(target, _say)
    return status.code


if __name__ == "__main__":
    sys.exit(main())
