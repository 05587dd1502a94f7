"""The built-in kinds, by the vectors that Go's tests use too."""

from __future__ import annotations

import asyncio
import inspect
import json
import math
from fractions import Fraction
from typing import Any

import fakes
import pytest
from conftest import TESTDATA
from hypothesis import given
from hypothesis import strategies as st

from firmlight import BadInput, Cancelled, protocol
from firmlight.workloads import settings, worker
from firmlight.workloads._primes import is_prime, prime_divisors
from firmlight.workloads.factorize import factorize
from firmlight.workloads.mean import mean

FILES = sorted((TESTDATA / "workloads").glob("*.json"))


def literally(path: Any) -> list[tuple[str, Any]]:
    """The vectors with each input as it stands in the file: 12 and 12.0 are not the same."""
    decoder = json.JSONDecoder(parse_float=protocol.Raw)
    return [(f"{path.stem}/{v['name']}", v) for v in decoder.decode(path.read_text())]


def text(value: Any) -> str:
    """JSON with floats as they stood."""
    if isinstance(value, protocol.Raw):
        return value
    if isinstance(value, list):
        return f"[{','.join(map(text, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{text(v)}" for k, v in value.items()) + "}"
    return json.dumps(value)


VECTORS = [v for path in FILES for v in literally(path)]


def do(kind: str, input_json: str, checkpoint: Any = None) -> tuple[Any, fakes.Recorder]:
    """Run one task as the worker would, but here."""
    handler = worker._handlers[kind]
    ctx, recorder = fakes.context(input_json, checkpoint)
    output = handler.fn(ctx)
    if inspect.isawaitable(output):

        async def main() -> Any:
            return await output

        output = asyncio.run(main())
    return protocol.decode(protocol.dumps(output)), recorder


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "crawl_delay", 0.0)


def test_there_are_vectors() -> None:
    assert sorted(worker.kinds) == [p.stem for p in FILES]
    assert len(VECTORS) > 200


@pytest.mark.parametrize(("name", "vector"), VECTORS, ids=[name for name, _ in VECTORS])
def test_vector(name: str, vector: Any) -> None:
    kind = name.partition("/")[0]
    if code := vector.get("error_code"):
        with pytest.raises(BadInput) as caught:
            do(kind, text(vector["input"]))
        assert caught.value.code == code
        assert not caught.value.retryable
        return
    saved = vector.get("checkpoint")
    got, _ = do(kind, text(vector["input"]), json.loads(text(saved)) if saved is not None else None)
    assert got == json.loads(text(vector["output"]))


@pytest.mark.parametrize(
    ("kind", "input_json", "want"),
    [
        ("sleep", '{"ms":-1}', "ms: must be an integer from 0 to 86400000"),
        ("sleep", '{"ms":1,"s":2}', '"s": unknown field'),
        ("factorize", '{"n":"1"}', "n: must be at least 2 and less than 10^40"),
        ("mean", '{"numbers":[1,null]}', "numbers[1]: must be a finite number"),
        ("mean", '{"csv":"a,b\\n1,2\\n3,x","column":"b"}', 'csv: row 3, column "b": "x" is not a finite number'),
        ("mean", '{"csv":"a\\n1","column":"b"}', 'column: the header row has no column "b"'),
        ("crawl", '{"urls":["http://a.example/","b"]}', "urls[1]: must be an absolute URL"),
    ],
)
def test_bad_input_names_the_field(kind: str, input_json: str, want: str) -> None:
    with pytest.raises(BadInput) as caught:
        do(kind, input_json)
    assert caught.value.message == want


def test_echo_is_to_the_letter() -> None:
    ctx, _ = fakes.context("[1.0, 1e400, 0.1000]")
    assert asyncio.run(worker._handlers["echo"].fn(ctx)) == "[1.0, 1e400, 0.1000]"


def test_sleep_tells_every_tenth() -> None:
    got, recorder = do("sleep", '{"ms":20}')
    assert got == {"slept_ms": 20}
    assert recorder.told[-1] == {"percent": 100.0, "message": "20 of 20 ms"}
    assert len(recorder.told) == 10


def test_a_million_numbers() -> None:
    got, _ = do("mean", json.dumps({"numbers": [0.1] * 1_000_000}))
    assert got == {"mean": 0.1, "count": 1_000_000, "min": 0.1, "max": 0.1}
    with pytest.raises(BadInput):
        do("mean", json.dumps({"numbers": [0.1] * 1_000_001}))


floats = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(floats, min_size=1))
def test_mean_is_rounded_once(numbers: list[float]) -> None:
    ctx, _ = fakes.context(json.dumps({"numbers": numbers}))
    want = sum(map(Fraction, numbers)) / len(numbers)
    assert Fraction(mean(ctx)["mean"]) == Fraction(float(want))


@given(st.lists(floats, min_size=1))
def test_partials_sum_exactly(numbers: list[float]) -> None:
    ctx, _ = fakes.context(json.dumps({"numbers": numbers, "part": True}))
    parts = mean(ctx)["partials"]
    assert sum(map(Fraction, parts)) == sum(map(Fraction, numbers))


@given(st.integers(2, 10**13))
def test_factors_multiply_to_n(n: int) -> None:
    ctx, _ = fakes.context(json.dumps({"n": n}))
    out = factorize(ctx)
    factors = [(int(p), e) for p, e in out["factors"]]
    assert math.prod(p**e for p, e in factors) == n
    assert all(is_prime(p) for p, _ in factors)
    assert factors == sorted(factors)


@given(st.integers(2, 2000), st.data())
def test_parts_find_all_prime_divisors(n: int, data: st.DataObject) -> None:
    root = math.isqrt(n)
    cut = data.draw(st.integers(1, root)) if root >= 2 else 1
    found = []
    for start, to in [(2, cut), (cut + 1, root)]:
        if start < 2 or to < start - 1:
            continue
        ctx, _ = fakes.context(json.dumps({"n": n, "from": str(start), "to": str(to)}))
        found += factorize(ctx)["found"]
    assert found == [str(p) for p in range(2, root + 1) if n % p == 0 and is_prime(p)]


def test_primes() -> None:
    sieve = [n for n in range(2, 2000) if all(n % d for d in range(2, n))]
    assert [n for n in range(2000) if is_prime(n)] == sieve
    assert is_prime(2**127 - 1)
    assert not is_prime((2**61 - 1) * (2**64 - 59))
    assert prime_divisors(10007 * 10009 * 10007, lambda: None) == [10007, 10009]


def test_factorize_stops_when_cancelled() -> None:
    for n in ("99999999999999999989", str((10**18 + 9) * (10**18 + 3))):
        ctx, _ = fakes.context(json.dumps({"n": n}))
        ctx._cancel("requested")
        with pytest.raises(Cancelled):
            factorize(ctx)
