"""Why Kafka cannot be used: every reason, from listeners made up of plain sockets."""

from __future__ import annotations

import logging
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from kafka import KafkaConsumer
from kafka import errors as kafka_errors

from stream.config.kafka import KafkaSettings
from stream.errors import AccessDenied, BetapackError, BrokerUnavailable, ConfigError, ReadFailed, TopicMissing
from stream.kafka import connection
from stream.kafka.connection import check_reachable, open_client, translate

Serve = Callable[[Callable[[socket.socket], None]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Runs a listener that hands every connection to a function; gives its address."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(answer: Callable[[socket.socket], None]) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def run() -> None:
            while True:
                try:
                    accepted, _ = listener.accept()
                except OSError:
                    return
                with accepted, suppress(OSError):
                    answer(accepted)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join()


def kafka_listener(login: tuple[int, list[str]]) -> Callable[[socket.socket], None]:
    """Answers ApiVersions, and SaslHandshake with an error code and mechanisms, as Kafka does."""
    code, mechanisms = login
    offered = struct.pack(">hi", code, len(mechanisms))
    offered += b"".join(struct.pack(">h", len(name)) + name.encode() for name in mechanisms)

    def answer(accepted: socket.socket) -> None:
        while len(head := accepted.recv(4, socket.MSG_WAITALL)) == 4:
            (size,) = struct.unpack(">i", head)
            if size > 100_000:
                # What Kafka does with the first bytes of a TLS handshake.
                return
            request = accepted.recv(size, socket.MSG_WAITALL)
            api_key, _version, correlation_id = struct.unpack_from(">hhi", request)
            body = struct.pack(">hi", 0, 0) if api_key == 18 else offered
            accepted.sendall(struct.pack(">ii", 4 + len(body), correlation_id) + body)

    return answer


def tls_listener(accepted: socket.socket) -> None:
    """Speaks TLS, but has no certificate: enough to be known as TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with context.wrap_socket(accepted, server_side=True):
        pass


def failure(settings: KafkaSettings) -> BrokerUnavailable:
    with pytest.raises(BrokerUnavailable) as failed:
        check_reachable(settings)
    return failed.value


NO_LOGIN: tuple[int, list[str]] = (34, [])
SCRAM = (0, ["SCRAM-SHA-512"])
ONLY_PLAIN = (33, ["PLAIN", "GSSAPI"])


def test_nothing_listens() -> None:
    """A refused connection, said at once, with the address and what to do."""
    started = time.monotonic()
    failed = failure(KafkaSettings(bootstrap="127.0.0.1:1"))
    assert failed.reason == "refused"
    assert str(failed).startswith("nothing listens on 127.0.0.1:1; start Kafka there")
    assert time.monotonic() - started < 0.5


def test_unknown_host() -> None:
    """A name that cannot be resolved (.invalid never can)."""
    failed = failure(KafkaSettings(bootstrap="kafka.invalid:9092"))
    assert failed.reason == "unknown host"
    assert "the host of kafka.invalid:9092 is not known" in str(failed)


def test_tls_expected(serve: Serve) -> None:
    """Plaintext to a TLS listener names the setting."""
    address = serve(tls_listener)
    failed = failure(KafkaSettings(bootstrap=address))
    assert failed.reason == "tls expected"
    assert f"{address} expects TLS, got security_protocol PLAINTEXT; set kafka.security_protocol to SSL" in str(failed)


def test_plaintext_expected(serve: Serve) -> None:
    """TLS to a plaintext listener names the setting."""
    failed = failure(KafkaSettings(bootstrap=serve(kafka_listener(NO_LOGIN)), security_protocol="SSL"))
    assert failed.reason == "plaintext expected"
    assert str(failed).endswith("set kafka.security_protocol to PLAINTEXT")


def test_a_listener_that_is_not_kafka(serve: Serve) -> None:
    """One that closes, one that answers something else."""

    def web_server(accepted: socket.socket) -> None:
        accepted.recv(1024)
        accepted.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    assert failure(KafkaSettings(bootstrap=serve(web_server))).reason == "not kafka"
    assert failure(KafkaSettings(bootstrap=serve(socket.socket.close))).reason == "not kafka"
    assert failure(KafkaSettings(bootstrap=serve(web_server), security_protocol="SSL")).reason == "not kafka"


def test_a_listener_that_says_nothing(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found out within the time-out of the look."""
    monkeypatch.setattr(connection, "LOOK_TIMEOUT_S", 0.2)
    silent = threading.Event()

    def wait(accepted: socket.socket) -> None:
        silent.wait(5)

    try:
        failed = failure(KafkaSettings(bootstrap=serve(wait)))
    finally:
        silent.set()
    assert failed.reason == "not kafka"
    assert "does not answer as Kafka within 0.2 s" in str(failed)


@pytest.mark.parametrize("login", [SCRAM, ONLY_PLAIN])
def test_login_expected(serve: Serve, login: tuple[int, list[str]]) -> None:
    """No login where one is wanted names all that must be set."""
    failed = failure(KafkaSettings(bootstrap=serve(kafka_listener(login))))
    assert failed.reason == "authentication"
    assert "expects a login" in str(failed)
    assert "kafka.security_protocol to SASL_PLAINTEXT, kafka.sasl_username and" in str(failed)
    assert "BETAPACK_SASL_PASSWORD" in str(failed)


def test_login_by_another_mechanism(serve: Serve) -> None:
    """The mechanisms on offer are listed."""
    address = serve(kafka_listener(ONLY_PLAIN))
    failed = failure(KafkaSettings(bootstrap=address, security_protocol="SASL_PLAINTEXT", sasl_username="me"))
    assert failed.reason == "authentication"
    assert str(failed).endswith(
        "does not offer the login SCRAM-SHA-512; set kafka.sasl_mechanism to one it offers: PLAIN, GSSAPI"
    )


def test_what_fits_passes(serve: Serve) -> None:
    """A plaintext listener without login, one with the right login, and a list of which one is up."""
    open_to_all = serve(kafka_listener(NO_LOGIN))
    check_reachable(KafkaSettings(bootstrap=open_to_all))
    check_reachable(KafkaSettings(bootstrap=f"127.0.0.1:1, {open_to_all}"))
    check_reachable(
        KafkaSettings(bootstrap=serve(kafka_listener(SCRAM)), security_protocol="SASL_PLAINTEXT", sasl_username="me")
    )


@pytest.mark.parametrize("bootstrap", ["", "localhost", "localhost:", ":9092", "localhost:kafka", "localhost:70000"])
def test_addresses_are_checked(bootstrap: str) -> None:
    """What is no host:port is a configuration error."""
    with pytest.raises(ConfigError, match=r"kafka\.bootstrap must"):
        check_reachable(KafkaSettings(bootstrap=bootstrap))


def test_a_missing_ca_file_is_named(tmp_path: Path) -> None:
    """Before anything is connected."""
    with pytest.raises(ConfigError, match=r"kafka\.ssl_cafile must be a PEM file.*absent\.pem"):
        check_reachable(KafkaSettings(security_protocol="SSL", ssl_cafile=str(tmp_path / "absent.pem")))


def test_the_login_must_be_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """User from the file, password from the environment; the message names the variable and never the password."""
    monkeypatch.delenv("BETAPACK_SASL_PASSWORD", raising=False)
    with pytest.raises(ConfigError, match=r"kafka\.sasl_username must be set"):
        open_client(KafkaConsumer, KafkaSettings(security_protocol="SASL_SSL"))
    settings = KafkaSettings(security_protocol="SASL_SSL", sasl_username="me")
    with pytest.raises(ConfigError, match="environment variable BETAPACK_SASL_PASSWORD must hold the password of me"):
        open_client(KafkaConsumer, settings)
    monkeypatch.setenv("BETAPACK_SASL_PASSWORD", "s3cret")
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("exc", "kind", "words"),
    [
        (kafka_errors.TopicAuthorizationFailedError({"ticks"}), AccessDenied, "refused user me while reading ticks"),
        (kafka_errors.GroupAuthorizationFailedError("g"), AccessDenied, "grant the ACL"),
        (kafka_errors.SaslAuthenticationFailedError("bad"), BrokerUnavailable, "refused the login of me"),
        (kafka_errors.UnknownTopicOrPartitionError("ticks"), TopicMissing, "found while reading ticks"),
        (kafka_errors.KafkaTimeoutError("slow"), BrokerUnavailable, "nothing listens on 127.0.0.1:1"),
        (kafka_errors.CorruptRecordError("crc"), ReadFailed, "refused while reading ticks"),
    ],
)
def test_translation(exc: kafka_errors.KafkaError, kind: type[BetapackError], words: str) -> None:
    """Each of kafka-python's errors becomes the one of ours that an operator can act on."""
    translated = translate(exc, "reading ticks", KafkaSettings(bootstrap="127.0.0.1:1", sasl_username="me"))
    assert type(translated) is kind
    assert words in str(translated)


def test_a_time_out_of_a_broker_that_answers(serve: Serve) -> None:
    """Then it is the advertised address or a partition without a leader, and the message says so."""
    settings = KafkaSettings(bootstrap=serve(kafka_listener(NO_LOGIN)))
    translated = translate(kafka_errors.KafkaTimeoutError("slow"), "reading ticks", settings)
    assert isinstance(translated, BrokerUnavailable)
    assert translated.reason == "timeout"
    assert "advertised listeners" in str(translated)


def test_a_client_that_cannot_bootstrap_leaves_nothing_open(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener that passes the look and then fails the client: our error, no thread and no socket left."""
    monkeypatch.setattr(connection, "BOOTSTRAP_TIMEOUT_MS", 500)
    threads = threading.active_count()
    settings = KafkaSettings(bootstrap=serve(kafka_listener(NO_LOGIN)))
    with pytest.raises(BrokerUnavailable) as failed:
        open_client(KafkaConsumer, settings)
    assert failed.value.reason == "timeout"
    # The listener's own thread is the one more.
    assert threading.active_count() == threads + 1


def test_kafka_python_does_not_print(capfd: pytest.CaptureFixture[str]) -> None:
    """Its attempts to connect stay out of standard error even when nobody configured logging."""
    with pytest.raises(BrokerUnavailable):
        open_client(KafkaConsumer, KafkaSettings(bootstrap="127.0.0.1:1"))
    logging.getLogger("kafka.net.manager").error("Connection failed")
    assert capfd.readouterr() == ("", "")
