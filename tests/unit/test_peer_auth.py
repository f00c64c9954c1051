"""Only who knows the cluster secret is let in, and only once per call."""

import pytest

from croncord.errors import Unauthenticated
from croncord.peer_auth import (
    DIGEST,
    NONCE,
    SIGNATURE,
    TIME,
    WINDOW_SECONDS,
    PeerSigner,
    PeerVerifier,
    authority,
    body_digest,
)

NOW = 1_777_600_000_000
URL = "http://n2.example:8470"
CALL = ("GET", "/internal/v1/logs/r/1?offset=0")
SIGNER = PeerSigner(b"secret")


@pytest.fixture
def verifier():
    return PeerVerifier(b"secret", URL)


def signed(method=CALL[0], target=CALL[1], *, signer=SIGNER, url=URL, body=b"", at=NOW, nonce="n"):
    return signer.headers(method, url, target, body=body, now_ms=at, nonce=nonce)


def test_a_call_signed_with_the_secret_is_let_in_and_its_body_is_known(verifier):
    assert verifier.check(*CALL, signed(), now_ms=NOW) == body_digest(b"")
    vitals = ("POST", "/internal/v1/vitals")
    headers = signed(*vitals, body=b"vitals", nonce="m")
    assert verifier.check(*vitals, headers, now_ms=NOW) == body_digest(b"vitals")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        signed(signer=PeerSigner(b"guess")),
        signed(method="POST"),
        signed(target="/internal/v1/logs/r/1?offset=1"),
        signed(url="http://n1.example:8470"),
        signed() | {DIGEST: body_digest(b"other")},
        signed() | {NONCE: "other"},
        signed() | {TIME: str(NOW + 1)},
        signed() | {SIGNATURE: ""},
        signed() | {SIGNATURE: "ü" * 64},
        signed() | {SIGNATURE: "\udcff" * 64},
    ],
    ids=[
        "unsigned",
        "another secret",
        "another method",
        "another path",
        "meant for another node",
        "another body",
        "another nonce",
        "another time",
        "empty signature",
        "strange signature",
        "bytes that are no text",
    ],
)
def test_anything_else_is_refused(verifier, headers):
    with pytest.raises(Unauthenticated, match="not signed"):
        verifier.check(*CALL, headers, now_ms=NOW)


def test_a_call_that_was_seen_is_refused_the_second_time(verifier):
    verifier.check(*CALL, signed(), now_ms=NOW)
    with pytest.raises(Unauthenticated, match="before"):
        verifier.check(*CALL, signed(), now_ms=NOW)


def test_a_refused_call_does_not_use_up_its_nonce(verifier):
    with pytest.raises(Unauthenticated):
        verifier.check(*CALL, signed(signer=PeerSigner(b"guess")), now_ms=NOW)
    verifier.check(*CALL, signed(), now_ms=NOW)


@pytest.mark.parametrize("seconds", [-WINDOW_SECONDS - 1, WINDOW_SECONDS + 1, 10**9, -(10**6)])
def test_a_clock_too_far_off_is_refused(verifier, seconds):
    with pytest.raises(Unauthenticated, match="clock"):
        verifier.check(*CALL, signed(at=NOW + seconds * 1000), now_ms=NOW)


@pytest.mark.parametrize("seconds", [-WINDOW_SECONDS, 0, WINDOW_SECONDS])
def test_a_clock_that_is_somewhat_off_is_let_in_but_cannot_be_replayed_later(verifier, seconds):
    headers = signed(at=NOW + seconds * 1000)
    verifier.check(*CALL, headers, now_ms=NOW)
    for later in range(0, 3 * WINDOW_SECONDS, 50):
        now = NOW + later * 1000
        verifier.check(*CALL, signed(at=now, nonce=f"other {later}"), now_ms=now)
        with pytest.raises(Unauthenticated):
            verifier.check(*CALL, headers, now_ms=now)


def test_old_nonces_are_forgotten_so_memory_stays_bounded(verifier):
    for n in range(5000):
        now = NOW + n * 1000
        verifier.check(*CALL, signed(at=now, nonce=str(n)), now_ms=now)
    assert len(verifier._seen) <= 2 * WINDOW_SECONDS + 1


@pytest.mark.parametrize("stamp", ["", "now", "-5", "1e9", "٣", "1" * 5000])
def test_a_time_that_is_no_number_is_refused_even_when_signed(verifier, stamp):
    headers = SIGNER.headers("GET", URL, CALL[1], body=b"", now_ms=stamp, nonce="n")
    with pytest.raises(Unauthenticated):
        verifier.check(*CALL, headers, now_ms=NOW)


@pytest.mark.parametrize("nonce", ["", "x" * 65])
def test_a_call_without_a_proper_nonce_is_refused(verifier, nonce):
    with pytest.raises(Unauthenticated):
        verifier.check(*CALL, signed(nonce=nonce), now_ms=NOW)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8470", "127.0.0.1:8470"),
        ("http://N1.Example:8470/", "n1.example:8470"),
        ("https://n1", "n1:443"),
        ("http://n1", "n1:80"),
        ("http://[::1]:8470", "::1:8470"),
    ],
)
def test_an_address_is_host_and_port_however_it_is_written(url, expected):
    assert authority(url) == expected


def test_while_the_secret_is_changed_both_are_let_in_and_no_third():
    verifier = PeerVerifier(b"secret", URL, accepted=(b"next",))
    for nonce, secret in (("a", b"secret"), ("b", b"next")):
        headers = signed(signer=PeerSigner(secret), nonce=nonce)
        assert verifier.check(*CALL, headers, now_ms=NOW) == body_digest(b"")
    with pytest.raises(Unauthenticated, match="not signed"):
        verifier.check(*CALL, signed(signer=PeerSigner(b"third"), nonce="c"), now_ms=NOW)
