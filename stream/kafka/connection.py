"""Connecting kafka-python to Kafka, with errors that say why a connection failed.

kafka-python reports a dead port, a TLS port, an unknown authority and a wrong login alike: "Unable to bootstrap", after
its whole time-out. So a socket of our own looks at the address first. Is there a listener? Does it speak TLS? Is its
certificate trusted? Does it speak Kafka? Does it want a login?
"""

from __future__ import annotations

import logging
import os
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from kafka import errors as kafka_errors
from kafka.net.compat import KafkaNetClient

from stream.config.kafka import PASSWORD_VARIABLE, KafkaSettings
from stream.errors import (
    AccessDenied,
    BetapackError,
    BrokerUnavailable,
    ConfigError,
    ReadFailed,
    TopicMissing,
)

# A local answer takes 1 ms, one across an ocean 300 ms.
LOOK_TIMEOUT_S = 3.0
BOOTSTRAP_TIMEOUT_MS = 10_000
# How long a call may take before it counts as failed; a new leader is elected within a few seconds.
REQUEST_TIMEOUT_MS = 10_000

# While a broker is down, kafka-python logs each attempt to reconnect as an error: several a second for each client.
# What an operator must know is in our own errors. A level on the logger "kafka" brings its messages back.
logging.getLogger("kafka").setLevel(logging.CRITICAL + 1)

Client = TypeVar("Client")


def open_client(client_class: Callable[..., Client], settings: KafkaSettings, **options: Any) -> Client:
    """A connected kafka-python client of the given class.

    Raises
    ------
    ConfigError : a setting, or the environment variable with the password, is missing or wrong.
    BrokerUnavailable : no broker of `settings.bootstrap` can be used; says why.
    """
    credentials = _credentials(settings)
    check_reachable(settings)
    opened: list[KafkaNetClient] = []

    def open_network(**network_options: Any) -> KafkaNetClient:
        opened.append(KafkaNetClient(**network_options))
        return opened[-1]

    try:
        return client_class(
            bootstrap_servers=settings.bootstrap.split(","),
            client_id=settings.client_id,
            security_protocol=settings.security_protocol,
            ssl_cafile=settings.ssl_cafile or None,
            bootstrap_timeout_ms=BOOTSTRAP_TIMEOUT_MS,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            reconnect_backoff_max_ms=1000,
            kafka_client=open_network,
            **credentials,
            **options,
        )
    except kafka_errors.KafkaError as exc:
        # A client that fails in its constructor closes neither its sockets nor its thread.
        for network in opened:
            network.close()
        raise _why_no_bootstrap(exc, settings) from exc


def check_reachable(settings: KafkaSettings) -> None:
    """Return when at least one bootstrap address answers as the kind of Kafka listener that `settings` describes.

    Takes milliseconds, and at most `LOOK_TIMEOUT_S` an address for each of at most three connections.

    Raises
    ------
    ConfigError : an address is not ``host:port``, or the file of `ssl_cafile` cannot be read.
    BrokerUnavailable : none does; message and `reason` are those of the first address.
    """
    tls = _tls_context(settings) if settings.tls else None
    first_failure: BrokerUnavailable | None = None
    for address in _addresses(settings.bootstrap):
        try:
            _look_at(address, settings, tls)
            return
        except BrokerUnavailable as failure:
            first_failure = first_failure or failure
    if first_failure is None:
        raise ConfigError("kafka.bootstrap must name at least one host:port, got none")
    raise first_failure


def translate(exc: kafka_errors.KafkaError, doing: str, settings: KafkaSettings) -> BetapackError:
    """Our error for kafka-python's `exc`, in an operator's words. `doing` completes "while ...".

    After a time-out or a lost connection this looks at the broker again, which can take some seconds.
    """
    if isinstance(exc, kafka_errors.AuthorizationError):
        return AccessDenied(
            f"Kafka refused user {settings.sasl_username or '(not logged in)'} while {doing}: "
            f"{exc}; grant the ACL it names"
        )
    if isinstance(exc, kafka_errors.SaslAuthenticationFailedError):
        return _login_refused(settings, str(exc))
    if isinstance(exc, kafka_errors.UnknownTopicOrPartitionError):
        return TopicMissing(f"a topic does not exist, found while {doing}; create it with `betapack topics --create`")
    if isinstance(
        exc, kafka_errors.KafkaTimeoutError | kafka_errors.KafkaConnectionError | kafka_errors.NodeNotReadyError
    ):
        try:
            check_reachable(settings)
        except BrokerUnavailable as unavailable:
            return unavailable
        return BrokerUnavailable(
            f"Kafka at {settings.bootstrap} accepts connections but did not answer in time while {doing} ({exc}); "
            "check that its advertised listeners can be reached from here and that every partition has a leader",
            "timeout",
        )
    return ReadFailed(f"Kafka at {settings.bootstrap} refused while {doing}: {exc}")


def _credentials(settings: KafkaSettings) -> dict[str, str]:
    if not settings.sasl:
        return {}
    if not settings.sasl_username:
        raise ConfigError(
            f"kafka.sasl_username must be set for security_protocol {settings.security_protocol}, got none"
        )
    password = os.environ.get(PASSWORD_VARIABLE)
    if not password:
        raise ConfigError(
            f"the environment variable {PASSWORD_VARIABLE} must hold the password of {settings.sasl_username} "
            f"for security_protocol {settings.security_protocol}, got none"
        )
    return {
        "sasl_mechanism": settings.sasl_mechanism,
        "sasl_plain_username": settings.sasl_username,
        "sasl_plain_password": password,
    }


def _addresses(bootstrap: str) -> list[tuple[str, int]]:
    addresses = []
    for address in filter(None, (part.strip() for part in bootstrap.split(","))):
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ConfigError(f"kafka.bootstrap must be host:port, several separated by commas, got {address!r}")
        addresses.append((host.strip("[]"), int(port)))
    return addresses


def _tls_context(settings: KafkaSettings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.ssl_cafile or None)
    except (OSError, ssl.SSLError) as exc:
        raise ConfigError(
            f"kafka.ssl_cafile must be a PEM file with the authority of the brokers, got {settings.ssl_cafile}: {exc}"
        ) from exc


def _look_at(address: tuple[str, int], settings: KafkaSettings, tls: ssl.SSLContext | None) -> None:
    where = f"{address[0]}:{address[1]}"
    try:
        connection = _connect(address)
    except socket.gaierror as exc:
        raise BrokerUnavailable(
            f"the host of {where} is not known ({exc.strerror}); check kafka.bootstrap and the name server",
            "unknown host",
        ) from exc
    except ConnectionRefusedError as exc:
        raise BrokerUnavailable(
            f"nothing listens on {where}; start Kafka there (`betapack broker` starts one) or set kafka.bootstrap",
            "refused",
        ) from exc
    except OSError as exc:
        raise BrokerUnavailable(
            f"{where} cannot be reached ({exc}); check kafka.bootstrap, routing and firewalls", "unreachable"
        ) from exc
    with connection:
        if tls is None:
            _look_at_plaintext(connection, address, settings)
        else:
            _look_at_tls(connection, address, settings, tls)


def _look_at_plaintext(connection: socket.socket, address: tuple[str, int], settings: KafkaSettings) -> None:
    where = f"{address[0]}:{address[1]}"
    if _speaks_kafka(connection):
        _check_login(connection, where, settings)
        return
    if _speaks_tls(address):
        raise BrokerUnavailable(
            f"{where} expects TLS, got security_protocol {settings.security_protocol}; "
            f"set kafka.security_protocol to {'SASL_SSL' if settings.sasl else 'SSL'}",
            "tls expected",
        )
    raise _not_kafka(where)


def _look_at_tls(
    connection: socket.socket, address: tuple[str, int], settings: KafkaSettings, tls: ssl.SSLContext
) -> None:
    where = f"{address[0]}:{address[1]}"
    try:
        encrypted = tls.wrap_socket(connection, server_hostname=address[0])
    except ssl.SSLCertVerificationError as exc:
        raise BrokerUnavailable(
            f"the certificate of {where} is not trusted: {exc.verify_message}; set kafka.ssl_cafile to the authority "
            f"that signed it (now {settings.ssl_cafile or 'those of the operating system'}) and check the host name",
            "certificate",
        ) from exc
    except OSError as exc:
        if _answers_plaintext_kafka(address):
            raise BrokerUnavailable(
                f"{where} expects plaintext, got security_protocol {settings.security_protocol}; "
                f"set kafka.security_protocol to {'SASL_PLAINTEXT' if settings.sasl else 'PLAINTEXT'}",
                "plaintext expected",
            ) from exc
        raise _not_kafka(where) from exc
    with encrypted:
        if not _speaks_kafka(encrypted):
            raise _not_kafka(where)
        _check_login(encrypted, where, settings)


def _not_kafka(where: str) -> BrokerUnavailable:
    return BrokerUnavailable(
        f"{where} accepts connections but does not answer as Kafka within {LOOK_TIMEOUT_S:g} s; check kafka.bootstrap",
        "not kafka",
    )


def _check_login(connection: socket.socket, where: str, settings: KafkaSettings) -> None:
    """Compare the listener's answer to a SaslHandshake request with the settings. The password is not tried."""
    try:
        answer = _ask(connection, api_key=17, version=1, body=_kafka_string(settings.sasl_mechanism))
    except OSError:
        return
    if len(answer) < 2:
        return
    (code,) = struct.unpack_from(">h", answer)
    if code == kafka_errors.IllegalSaslStateError.errno:
        if settings.sasl:
            raise BrokerUnavailable(
                f"{where} takes no login, got security_protocol {settings.security_protocol}; "
                f"set kafka.security_protocol to {'SSL' if settings.tls else 'PLAINTEXT'}",
                "authentication",
            )
    elif not settings.sasl:
        raise BrokerUnavailable(
            f"{where} expects a login, got security_protocol {settings.security_protocol}; "
            f"set kafka.security_protocol to {'SASL_SSL' if settings.tls else 'SASL_PLAINTEXT'}, kafka.sasl_username "
            f"and the environment variable {PASSWORD_VARIABLE}",
            "authentication",
        )
    elif code == kafka_errors.UnsupportedSaslMechanismError.errno:
        raise BrokerUnavailable(
            f"{where} does not offer the login {settings.sasl_mechanism}; set kafka.sasl_mechanism to one it offers: "
            f"{', '.join(_kafka_strings(answer[2:]))}",
            "authentication",
        )


def _login_refused(settings: KafkaSettings, detail: str) -> BrokerUnavailable:
    return BrokerUnavailable(
        f"{settings.bootstrap} refused the login of {settings.sasl_username} by {settings.sasl_mechanism} ({detail}); "
        f"check kafka.sasl_username and the environment variable {PASSWORD_VARIABLE}",
        "authentication",
    )


def _why_no_bootstrap(exc: kafka_errors.KafkaError, settings: KafkaSettings) -> BetapackError:
    # The listener speaks Kafka and wants a login of this kind, so only the login itself can be wrong.
    if settings.sasl and isinstance(exc, kafka_errors.KafkaTimeoutError):
        return _login_refused(settings, f"no attempt succeeded within {BOOTSTRAP_TIMEOUT_MS} ms")
    return translate(exc, "connecting", settings)


def _connect(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, timeout=LOOK_TIMEOUT_S)


def _speaks_tls(address: tuple[str, int]) -> bool:
    """Whether a TLS handshake succeeds, whatever the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with _connect(address) as connection, context.wrap_socket(connection):
            return True
    except ssl.SSLError as exc:
        # The listener asked for a certificate of ours, or for another version: it speaks TLS.
        return "ALERT" in (exc.reason or "")
    except OSError:
        return False


def _answers_plaintext_kafka(address: tuple[str, int]) -> bool:
    with suppress(OSError), _connect(address) as connection:
        return _speaks_kafka(connection)
    return False


def _speaks_kafka(connection: socket.socket) -> bool:
    """Whether the other side answers an ApiVersions request, which every listener does before any login."""
    try:
        return len(_ask(connection, api_key=18, version=0, body=b"")) > 2
    except OSError:
        return False


# Any value. Kafka's answer repeats it; another program's would not.
_CORRELATION_ID = 0x62657461


def _ask(connection: socket.socket, api_key: int, version: int, body: bytes) -> bytes:
    """The body of the answer to one Kafka request with header version 1; ConnectionError when it is no Kafka answer."""
    request = struct.pack(">hhi", api_key, version, _CORRELATION_ID) + _kafka_string("betapack-look") + body
    connection.sendall(struct.pack(">i", len(request)) + request)
    size, correlation_id = struct.unpack(">ii", _receive(connection, 8))
    if correlation_id != _CORRELATION_ID or not 4 <= size < 65536:
        raise ConnectionError("not an answer of Kafka")
    return _receive(connection, size - 4)


def _receive(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        chunk = connection.recv(size - len(received))
        if not chunk:
            raise ConnectionError("closed before the answer was complete")
        received += chunk
    return received


def _kafka_string(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


def _kafka_strings(array: bytes) -> list[str]:
    (count,) = struct.unpack_from(">i", array)
    strings, at = [], 4
    for _ in range(count):
        (length,) = struct.unpack_from(">h", array, at)
        strings.append(array[at + 2 : at + 2 + length].decode())
        at += 2 + length
    return strings
