"""The examples of the README, with the built wheel in an environment that has nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from conftest import Server

HERE = Path(__file__).parents[1]


def test_the_examples_run_from_the_wheel(server: Server, tmp_path: Path) -> None:
    def run(*command: object) -> None:
        done = subprocess.run([str(c) for c in command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, HERE)
    (wheel,) = tmp_path.glob("*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    programs = tmp_path / "venv" / "bin"
    pip = (sys.executable, "-m", "pip", "--python", programs / "python", "--disable-pip-version-check")
    run(*pip, "install", "--quiet", "--constraint", HERE / "requirements.txt", wheel)
    worker, client = re.findall(r"```python\n(.*?)```", (HERE / "README.md").read_text(), re.DOTALL)
    (tmp_path / "hello.py").write_text(worker)
    server.spawn(str(programs / "firmlight-worker"), "hello:worker", "--slots", "4", PYTHONPATH=str(tmp_path))
    done = subprocess.run(
        [programs / "python", "-c", client],
        env={"FIRMLIGHT_SERVER": server.url, "FIRMLIGHT_API_TOKEN": server.api_token},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == ["succeeded ['hello Ada', 'hello Ada']", "['hello Grace', 'hello Alan']"], done
