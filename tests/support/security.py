"""Certificates made on the spot, and brokers that want passwords or speak TLS."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.mqtt import Mosquitto


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def make_authority(folder: Path, name: str) -> Path:
    """A certificate authority: name.pem and name.key."""
    authority = folder / f"{name}.pem"
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"),
        *("-subj", f"/CN={name}", "-keyout", authority.with_suffix(".key"), "-out", authority),
    )
    return authority


def make_certificate(authority: Path, name: str, alternative_name: str) -> Path:
    """A certificate signed by the authority: name.pem and name.key."""
    certificate = authority.with_name(f"{name}.pem")
    extensions = certificate.with_suffix(".ext")
    extensions.write_text(f"subjectAltName={alternative_name}\n")
    request = certificate.with_suffix(".csr")
    openssl(
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}"),
        *("-keyout", certificate.with_suffix(".key"), "-out", request),
    )
    openssl(
        *("x509", "-req", "-in", request, "-CA", authority, "-CAkey", authority.with_suffix(".key")),
        *("-CAcreateserial", "-days", "2", "-extfile", extensions, "-out", certificate),
    )
    return certificate


def tls_settings(certificates: Path, name: str = "broker") -> str:
    return (
        f"cafile {certificates}/ours.pem\ncertfile {certificates}/{name}.pem\nkeyfile {certificates}/{name}.key\n"
    )


def protected(mosquitto: str, folder: Path, password: str) -> Mosquitto:
    """A broker that knows a user ``agent``."""
    passwords = folder / "passwords"
    tool = Path(mosquitto).with_name("mosquitto_passwd")
    program = tool if tool.exists() else Path("/usr/bin/mosquitto_passwd")
    subprocess.run([program, "-b", "-c", str(passwords), "agent", password], check=True, capture_output=True)
    return Mosquitto(mosquitto, folder, f"password_file {passwords}", anonymous=False)
