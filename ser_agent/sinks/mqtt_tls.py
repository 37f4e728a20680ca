"""Encryption of the way to a broker: when it is used, with what certificates, and what is worth a warning."""

from __future__ import annotations

import ipaddress
import ssl
from pathlib import Path
from typing import Any, Self

from pydantic import model_validator

from ser_agent.errors import SinkError
from ser_agent.options import Options

HOSTS_FILE = Path("/etc/hosts")


class TlsOptions(Options):
    """Keys of an encrypted connection. All defaults: the system's certificate authorities, host name checked."""

    enabled: bool = True
    """Whether to encrypt at all: `tls: off` is short for false."""
    ca_file: str | None = None
    """Certificate authorities to trust instead of the system's (PEM)."""
    cert_file: str | None = None
    """Client certificate (PEM), where the broker asks for one."""
    key_file: str | None = None
    """Private key of the client certificate (PEM, without a passphrase); null where it stands in cert_file."""
    insecure: bool = False
    """Accept any certificate and any host name: for experiments only."""

    @model_validator(mode="before")
    @classmethod
    def _one_word(cls, value: Any) -> Any:  # noqa: ANN401 - whatever stands in the file
        """`on` and `off`, which YAML reads as true and false."""
        if value in (False, "off"):
            return {"enabled": False}
        return {} if value in (True, "on") else value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("key_file needs cert_file")
        if not self.enabled and (self.ca_file or self.cert_file or self.insecure):
            raise ValueError("a connection without encryption has no certificates: leave out the other keys")
        return self


def tls_for(host: str, configured: TlsOptions | None) -> TlsOptions | None:
    """What encrypts the way to a broker: what is configured, else the defaults unless it is on this machine.

    Returns:
        None for a connection without encryption.
    """
    if configured is not None:
        return configured if configured.enabled else None
    return None if is_this_machine(host) else TlsOptions()


def can_be_read_on_the_way(host: str, configured: TlsOptions | None) -> bool:
    """Whether what goes to a broker goes to another machine, and unencrypted, as is configured."""
    return tls_for(host, configured) is None and not is_this_machine(host)


def is_this_machine(host: str) -> bool:
    """Whether a name or address is this machine's loopback.

    Names are looked up in /etc/hosts alone: what somebody on the network answers must not switch encryption off.
    """
    name = host.lower().rstrip(".")
    if name == "localhost":
        return True
    addresses = [name] if _is_address(name) else _addresses_in_hosts_file(name)
    return bool(addresses) and all(_is_loopback(address) for address in addresses)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_loopback(text: str) -> bool:
    if not _is_address(text):
        return False
    address = ipaddress.ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _addresses_in_hosts_file(name: str) -> list[str]:
    try:
        lines = HOSTS_FILE.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    entries = [line.partition("#")[0].lower().split() for line in lines]
    return [entry[0] for entry in entries if name in entry[1:]]


def cautions(host: str, tls: TlsOptions | None, *, has_password: bool) -> list[str]:
    """What an operator should know of the way to a broker; nothing where it is on this machine.

    Args:
        host: of the broker.
        tls: what encrypts, from ``tls_for``.
        has_password: whether a password is sent.
    """
    if is_this_machine(host):
        return []
    if tls is None:
        what = "the password and all that is told" if has_password else "all that is told"
        return [f"{what} goes to {host} unencrypted (`tls: off`): anybody on the way can read and change it"]
    if tls.insecure:
        return [f"any certificate is accepted for {host} (`tls: {{insecure: true}}`): anybody can pass for it"]
    return []


def existing_file(name: str, base_dir: Path, key: str) -> Path:
    """A file that the configuration names.

    Raises:
        SinkError: there is none.
    """
    path = base_dir / Path(name).expanduser()
    if not path.is_file():
        raise SinkError(f"{key}: there is no file {path}")
    return path


class _ClosingSocket(ssl.SSLSocket):
    """Closes itself when its handshake fails, which the MQTT library leaves to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - the standard library's signature
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def tls_context(options: TlsOptions, base_dir: Path) -> ssl.SSLContext:
    """TLS 1.2 or newer, certificate and host name checked unless the options say otherwise.

    Raises:
        SinkError: a file is missing or useless; the message names it and its key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = _ClosingSocket
    if options.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if options.ca_file is None:
        context.load_default_certs()
    else:
        ca_file = existing_file(options.ca_file, base_dir, "tls.ca_file")
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:
            raise SinkError(f"tls.ca_file: {ca_file} holds no usable certificate: {_reason(error)}") from error
    if options.cert_file is not None:
        _load_client_certificate(context, options.cert_file, options.key_file, base_dir)
    return context


def _load_client_certificate(context: ssl.SSLContext, cert: str, key: str | None, base_dir: Path) -> None:
    cert_file = existing_file(cert, base_dir, "tls.cert_file")
    key_file = None if key is None else existing_file(key, base_dir, "tls.key_file")
    try:
        # The password is a callback that gives an empty one: OpenSSL would else ask for it on the terminal.
        context.load_cert_chain(cert_file, key_file, password=lambda: b"")
    except OSError as error:
        files = cert_file if key_file is None else f"{cert_file} with tls.key_file {key_file}"
        msg = f"tls.cert_file: {files} cannot be used (a passphrase is not supported): {_reason(error)}"
        raise SinkError(msg) from error


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return error.strerror or str(error)
