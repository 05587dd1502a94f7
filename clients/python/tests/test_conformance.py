"""The worker program against the worker protocol, case by case (docs/worker-protocol.md, section 7)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from conftest import TOP


def test_the_worker_conforms(tmp_path: Path) -> None:
    firmlight = tmp_path / "firmlight"
    subprocess.run(["go", "build", "-buildvcs=false", "-o", firmlight, "./cmd/firmlight"], cwd=TOP, check=True)
    worker = Path(sys.executable).with_name("firmlight-worker")
    run = subprocess.run(
        [firmlight, "conformance", "--", worker, "firmlight.workloads:worker"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert " ok " in run.stdout
