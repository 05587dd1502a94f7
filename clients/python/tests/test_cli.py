"""The command's flags and variables."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from firmlight import ConfigError, Worker, cli


def applied(*args: str, **environ: str) -> Worker:
    worker = Worker()
    worker.kind("a")(lambda: None)
    worker.kind("b")(lambda: None)
    variables = {"PATH": os.environ["PATH"], **{f"FIRMLIGHT_{k}": v for k, v in environ.items()}}
    cli.apply(worker, cli.parse(["m:w", *args], variables), variables)
    return worker


def test_flags_go_before_variables() -> None:
    worker = applied(
        "--slots", "3", "--label", "x=1=2", "--kinds", "b", TOKEN="t", SLOTS="9", NAME="n", GROUPS="g,h", SERVER=""
    )
    assert (worker.slots, worker.name, worker.token, worker.groups) == (3, "n", "t", ["g", "h"])
    assert (worker.labels, worker.kinds, worker.server) == ({"x": "1=2"}, ["b"], "http://127.0.0.1:8080")


def test_kinds_and_programs() -> None:
    assert applied("--exec", "c=cat", "--exec", "d=printf '|;' x", TOKEN="t").kinds == ["a", "b", "c", "d"]
    assert applied("--kinds", "none", TOKEN="t", EXEC="c=sh -c 'cat | wc'").kinds == ["c"]
    with pytest.raises(SystemExit):
        cli.parse([], {})
    assert cli.parse([], {"FIRMLIGHT_EXEC": "c=cat"}).worker is None


def test_token_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    assert applied("--token-file", str(tmp_path / "token")).token == "secret"


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ([], "no worker token"),
        (["--token", "t", "--token-file", "f"], "not both"),
        (["--token", "t", "--slots", "0"], "--slots"),
        (["--token", "t", "--slots", "many"], "--slots"),
        (["--token", "t", "--kinds", "c"], "no handler"),
        (["--token", "t", "--label", "x"], "NAME=VALUE"),
        (["--token", "t", "--exec", "cat"], "NAME=VALUE"),
        (["--token", "t", "--exec", "Cat=cat"], "name of a kind"),
        (["--token", "t", "--exec", "c="], "no command"),
        (["--token", "t", "--exec", "c=no-such-program-42"], "no program"),
        (["--token", "t", "--exec", "c=cat 'x"], "quotation"),
        (["--token", "t", "--exec", "c=cat x | wc"], "no shell runs this"),
        (["--token", "t", "--crawl-delay", "soon"], "no time"),
    ],
)
def test_what_is_wrong_is_said(args: list[str], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        applied(*args)


@pytest.mark.parametrize("name", ["handlers", "handlers:nothing", "no_such_module:worker", "json:dumps"])
def test_there_is_no_such_worker(name: str) -> None:
    with pytest.raises(ConfigError):
        cli.load(name)


def test_durations() -> None:
    assert [cli.duration(t) for t in ("0", "1s", "500ms", "1m30s", "1.5h")] == [0, 1, 0.5, 90, 5400]
