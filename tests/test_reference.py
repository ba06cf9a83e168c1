"""The shell commands in openapi/REFERENCE.md."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest
from schemas import ROOT, document

from millis_wrapper.mock import MockMillis


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_curl_samples_of_the_reference_work() -> None:
    """Each curl command gets a response from the mock server, and its arguments do not contain the key."""
    page = (ROOT / "openapi" / "REFERENCE.md").read_text("utf-8")
    samples = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(samples) == 2
    with MockMillis(api_key="the-key") as mock:
        mock.add_agent("-OabCdEfGhIjKlMnOpQr")
        for sample in samples:
            assert '-H "authorization' not in sample
            command = sample.replace(document()["servers"][0]["url"], mock.url).replace("curl ", "curl -sf ")
            done = subprocess.run(
                ["sh", "-c", command],
                env={**os.environ, "MILLIS_API_KEY": "the-key"},
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            assert (done.returncode, done.stderr) == (0, "")
            assert done.stdout.startswith(("data: ", ": ", "{"))
        assert len(mock.requests) == 2
