"""A certificate that nobody trusts."""

from __future__ import annotations

import subprocess
from pathlib import Path


def certificate(folder: Path) -> Path:
    """Make a self-signed certificate for 127.0.0.1, and return the file with it and its key."""
    key, public, both = folder / "key.pem", folder / "public.pem", folder / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", key, "-out", public], check=True, capture_output=True)
    both.write_bytes(key.read_bytes() + public.read_bytes())
    return both
