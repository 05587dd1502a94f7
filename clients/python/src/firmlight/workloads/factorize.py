"""Finds the prime factors of a number, by trial division below 10^20, by rho above."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..context import Context
from . import _input, _pace
from ._primes import is_prime, prime_divisors

MAX_N = 10**40  # exclusive, as are the next two
MAX_TRIAL = 10**20
MAX_DIVISORS = 10**15
MAX_DIGITS = 40
WINDOW = 30 << 11  # divisors between two looks at whether to stop
RESIDUES = (1, 7, 11, 13, 17, 19, 23, 29)  # modulo 30, of numbers without a factor 2, 3 or 5


@dataclass
class Input:
    """A whole task, or one part if ranged: the divisors from `start` to `to`."""

    n: int
    divisors: bool
    ranged: bool
    start: int
    to: int


def factorize(ctx: Context) -> dict[str, Any]:
    """{"n"} → its factors; {"n", "from", "to"} → the prime divisors in that range."""
    task = parse(_input.fields(ctx, "n", "divisors", "from", "to"))
    if task.n >= MAX_TRIAL:
        return output(task, prime_divisors(task.n, ctx.check))
    found = Trial(task.n, task.start, task.to).run(ctx)
    if task.ranged:
        told = {"n": task.n, "from": task.start, "to": task.to}
        return {**{k: str(v) for k, v in told.items()}, "found": [str(p) for p in found]}
    return output(task, found)


def parse(values: dict[str, Any]) -> Input:
    """Check an input. Raises BadInput."""
    ranged = "from" in values or "to" in values
    n = natural(values, "n")
    if not 2 <= n < MAX_N:
        raise _input.bad("n", "must be at least 2 and less than 10^40")
    divisors = _input.boolean(values, "divisors", False)
    if divisors and n >= MAX_DIVISORS:
        raise _input.bad("divisors", "only for n less than 10^15")
    root = math.isqrt(n) if n < MAX_TRIAL else 0
    if not ranged:
        return Input(n, divisors, False, 2, root)
    if n >= MAX_TRIAL:
        raise _input.bad("n", "a part must have n less than 10^20")
    if divisors:
        raise _input.bad("divisors", "not for a part")
    start, to = natural(values, "from"), natural(values, "to")
    if start < 2:
        raise _input.bad("from", "must be at least 2")
    if to > root or start > to + 1:
        raise _input.bad("to", "must be from - 1 to the integer square root of n")
    return Input(n, divisors, True, start, to)


def natural(values: dict[str, Any], name: str) -> int:
    """A positive integer, as a number or a string of digits: no sign, no leading zero, no exponent."""
    value = values.get(name)
    text = str(value) if type(value) is str or (type(value) is int and value < 10**MAX_DIGITS) else ""
    if not (text.isascii() and text.isdigit()) or text[0] == "0" or len(text) > MAX_DIGITS:
        kind = f"a positive integer of at most {MAX_DIGITS} digits, as a number or a string"
        raise _input.bad(name, f"must be {kind}")
    return int(text)


def output(task: Input, primes: list[int]) -> dict[str, Any]:
    """Complete the factorization: what the primes up to √n leave of n is one more prime."""
    factors: list[list[str | int]] = []
    rest, divisors = task.n, [1]

    def add(p: int) -> None:
        nonlocal rest, divisors
        exponent = 0
        while rest % p == 0:
            rest //= p
            exponent += 1
        if exponent:
            factors.append([str(p), exponent])
            if task.divisors:
                divisors = [d * p**e for d in divisors for e in range(exponent + 1)]

    for p in primes:
        add(p)
    if rest > 1:
        add(rest)
    prime = len(factors) == 1 and factors[0][1] == 1
    out: dict[str, Any] = {"n": str(task.n), "factors": factors, "prime": prime}
    if task.divisors:
        out["divisors"] = [str(d) for d in sorted(divisors)]
    return out


class Trial:
    """Finds the prime divisors of n within a range by division."""

    def __init__(self, n: int, start: int, to: int) -> None:
        self.n, self.start, self.to = n, start, to
        self.next = start  # next divisor to try
        self.found: list[int] = []  # ascending

    def run(self, ctx: Context) -> list[int]:
        """Try the whole range, going on from the checkpoint if there is one. Raises Cancelled."""
        self.resume(ctx.restored)
        tell, save = _pace.Ticker(_pace.PROGRESS_EVERY), _pace.Ticker(_pace.CHECKPOINT_EVERY)
        while self.next <= (limit := self.limit()):
            ctx.check()
            self.scan(limit)
            if tell.due():
                done = 100 * (self.next - self.start) / (self.to + 1 - self.start)
                ctx.progress(done, f"tried divisors below {self.next} of {self.to}")
            if save.due():
                _pace.save(ctx, {"next": str(self.next), "found": [str(p) for p in self.found]})
        # When the scan could stop early, what is left of n is 1 or its last prime.
        rest = self.rest()
        if self.start == 2 and self.next <= rest <= self.to:
            self.found.append(rest)
        return self.found

    def limit(self) -> int:
        """The last divisor worth trying: a scan from 2 knows all smaller primes."""
        return min(self.to, math.isqrt(self.rest())) if self.start == 2 else self.to

    def rest(self) -> int:
        """The number without the primes found."""
        rest = self.n
        for p in self.found:
            while rest % p == 0:
                rest //= p
        return rest

    def scan(self, limit: int) -> None:
        """Try at most one window of divisors up to limit, and stop after one that divides.

        The limit may be lower then.
        """
        n, start = self.n, self.next
        end = min(start + WINDOW, limit + 1)
        hits = [p for p in (2, 3, 5) if start <= p < end and n % p == 0]
        for residue in RESIDUES:
            first = start + (residue - start) % 30
            hits += [d for d in range(first, end, 30) if n % d == 0]
        primes = [d for d in sorted(hits) if is_prime(d)]
        if primes:
            self.found.append(primes[0])
            end = primes[0] + 1
        self.next = end

    def resume(self, saved: Any) -> None:
        """Take over a checkpoint, unless it is not one of this range."""
        try:
            following = _digits(saved["next"])
            found = [_digits(p) for p in saved["found"]]
        except (TypeError, KeyError, ValueError):
            return
        if not self.start <= following <= self.to + 1:
            return
        after = self.start - 1
        for p in found:
            if not after < p < following or self.n % p or not is_prime(p):
                return
            after = p
        self.next, self.found = following, found


def _digits(text: Any) -> int:
    if not isinstance(text, str) or not (text.isascii() and text.isdigit()) or len(text) > MAX_DIGITS:
        raise ValueError(text)
    return int(text)
