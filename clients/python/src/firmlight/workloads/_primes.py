"""Primes: a test, and factors of numbers too large for trial division."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

_SMALL = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41)
_SURE = 3_317_044_064_679_887_385_961_981  # below, these thirteen bases decide (Sorenson and Webster)
_ROUNDS = 20  # with random bases, above
_TRIED = 1000  # divisors below are tried before rho
_TOGETHER = 128  # steps of rho between two gcds


def is_prime(n: int) -> bool:
    """Miller-Rabin; certain below 3.3·10^24."""
    if n < 2:
        return False
    for p in _SMALL:
        if n % p == 0:
            return n == p
    bases = [*_SMALL]
    if n >= _SURE:
        bases += [random.randrange(2, n - 1) for _ in range(_ROUNDS)]
    twos = ((n - 1) & -(n - 1)).bit_length() - 1
    odd = (n - 1) >> twos
    return all(_passes(n, base, odd, twos) for base in bases)


def _passes(n: int, base: int, odd: int, twos: int) -> bool:
    x = pow(base, odd, n)
    if x in (1, n - 1):
        return True
    for _ in range(twos - 1):
        x = x * x % n
        if x == n - 1:
            return True
    return False


def prime_divisors(n: int, check: Callable[[], None]) -> list[int]:
    """The distinct prime divisors of n, ascending. `check` may raise, and is called often."""
    primes = set()
    for p in range(2, _TRIED):
        while n % p == 0:
            primes.add(p)
            n //= p
    todo = [n]
    while todo:
        m = todo.pop()
        if is_prime(m):
            primes.add(m)
        elif m > 1:
            d = _divisor(m, check)
            todo += [d, m // d]
    return sorted(primes)


def _divisor(m: int, check: Callable[[], None]) -> int:
    """A proper divisor of an odd composite. A constant that leads nowhere (rare) is followed by the next."""
    c = 1
    while (d := _rho(m, c, check)) == m:
        c += 1
    return d


def _rho(m: int, c: int, check: Callable[[], None]) -> int:
    """Walk x → x² + c until two positions agree modulo a divisor; m itself where they agree modulo all.

    After Brent: one position stands at a power of two while the other goes on, and the differences
    are multiplied up so that a gcd is needed only once in a while.
    """
    y, length, gcd, product = 2, 1, 1, 1
    x = start = y
    while gcd == 1:
        x = y
        for _ in range(length):
            y = (y * y + c) % m
        done = 0
        while done < length and gcd == 1:
            check()
            start = y
            for _ in range(min(_TOGETHER, length - done)):
                y = (y * y + c) % m
                product = product * abs(x - y) % m
            gcd = math.gcd(product, m)
            done += _TOGETHER
        length *= 2
    if gcd != m:
        return gcd
    gcd = 1
    while gcd == 1:  # several divisors were met within one batch: go through it step by step
        start = (start * start + c) % m
        gcd = math.gcd(abs(x - start), m)
    return gcd
