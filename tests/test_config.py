"""Settings: where they come from, their bounds, and what is said of a wrong one."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from docs.settings import page
from hashmatch.config import Settings, load
from hashmatch.errors import ConfigInvalid

NAMES = list(Settings.model_fields)


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("HASHMATCH_"):
            monkeypatch.delenv(name)


def test_the_defaults_are_sound() -> None:
    """A server without any setting would not start, or be open to everybody."""
    settings = load()
    assert settings.listen == "127.0.0.1:50051"
    assert settings.workers >= 1
    assert settings.max_upload_bytes <= settings.spool_memory_bytes + settings.spool_disk_bytes


def test_variables_set_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A container could not be configured."""
    given = {
        "data": str(tmp_path),
        "database": "postgresql://host/name",
        "listen": "[::]:0",
        "tls_certificate": "/a/certificate.pem",
        "tls_key": "/a/key.pem",
        "tls_client_ca": "/a/ca.pem",
        "allow_plaintext": "True",
        "unsafe_no_auth": "False",
        "oidc_issuer": "https://issuer.test",
        "oidc_audience": "hashmatch",
        "oidc_keys": "/a/keys.json",
        "oidc_roles_claim": "roles",
        "oidc_banks_claim": "banks",
        "metrics": "127.0.0.1:9464",
        "workers": "3",
        "max_upload_bytes": "1000",
        "max_duration_seconds": "60",
        "found_seconds": "3.0",
        "max_frame_pixels": "10000",
        "max_frames": "100",
        "max_streams": "2",
        "decode_seconds": "1.5",
        "decode_cpu_seconds": "2.5",
        "decode_memory_bytes": "100000000",
        "unsafe_no_sandbox": "True",
        "max_staleness_seconds": "2.5",
        "max_uploads": "7",
        "max_waiting": "3",
        "upload_idle_seconds": "1.5",
        "upload_seconds": "2.5",
        "spool_memory_bytes": "0",
        "spool_disk_bytes": "0",
        "keep_changes_days": "90",
        "shutdown_seconds": "0",
        "log_level": "DEBUG",
    }
    assert set(given) == set(NAMES)
    for name, value in given.items():
        monkeypatch.setenv(f"HASHMATCH_{name.upper()}", value)
    settings = load()
    assert {name: str(getattr(settings, name)) for name in NAMES} == {
        **given,
        "shutdown_seconds": "0.0",
    }


def test_the_command_line_goes_before_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option would have no effect on a machine where the variable is set."""
    monkeypatch.setenv("HASHMATCH_WORKERS", "3")
    monkeypatch.setenv("HASHMATCH_LISTEN", "127.0.0.1:1")
    settings = load(workers=5, listen=None, data=None)
    assert (settings.workers, settings.listen) == (5, "127.0.0.1:1")


def test_variables_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own variable would keep a server on the same machine from starting."""
    monkeypatch.setenv("HASHMATCH_SERVER", "127.0.0.1:1")
    monkeypatch.setenv("HASHMATCH_CORPUS", "somewhere")
    load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("listen", "localhost"),
        ("listen", ":"),
        ("listen", ":50051"),
        ("listen", "host:port"),
        ("listen", "host:123456"),
        ("listen", "host:65536"),
        ("listen", "host:1\n"),
        ("workers", "0"),
        ("workers", "1025"),
        ("workers", "many"),
        ("workers", ""),
        ("max_upload_bytes", "0"),
        ("max_upload_bytes", "2 GB"),
        ("max_duration_seconds", "0"),
        ("max_duration_seconds", "100000000"),
        ("max_frame_pixels", "-1"),
        ("decode_seconds", "0"),
        ("decode_seconds", "nan"),
        ("decode_seconds", "inf"),
        ("spool_memory_bytes", "-1"),
        ("spool_disk_bytes", "-1"),
        ("shutdown_seconds", "-1"),
        ("shutdown_seconds", "nan"),
        ("shutdown_seconds", "inf"),
        ("log_level", "CHATTY"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Whoever made a typing error would look for it in a traceback."""
    monkeypatch.setenv(f"HASHMATCH_{name.upper()}", value)
    with pytest.raises(ConfigInvalid) as caught:
        load()
    assert caught.value.metadata == {"setting": name}
    assert f"HASHMATCH_{name.upper()}" in str(caught.value)


def test_an_unknown_option_is_named() -> None:
    """A misspelled setting would silently have no effect."""
    with pytest.raises(ConfigInvalid, match="wrokers"):
        load(wrokers=3)


def test_settings_do_not_change() -> None:
    """A part of the server could change what another relies on."""
    settings = load()
    with pytest.raises(Exception, match="frozen"):
        settings.workers = 5  # type: ignore[misc]


def test_the_page_of_settings_is_true() -> None:
    """An operator would set a variable that is not there."""
    written = Path(__file__).resolve().parent.parent / "docs" / "settings.md"
    assert written.read_text() == page()
    listed = re.findall(r"^\| `HASHMATCH_(\w+)` \| .+ \| .{10,} \|$", page(), re.MULTILINE)
    assert [name.lower() for name in listed] == NAMES


@pytest.mark.parametrize("name", ["listen", "metrics"])
def test_what_an_address_looks_like_is_said(name: str) -> None:
    """An operator would have to read a regular expression."""
    with pytest.raises(ConfigInvalid, match=rf"HASHMATCH_{name.upper()}\): must be HOST:PORT"):
        load(**{name: "localhost"})
