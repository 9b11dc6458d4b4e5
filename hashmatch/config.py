"""Settings of the server: from ``HASHMATCH_…`` variables, then from the command line."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Any, Literal, Self

import pydantic
from pydantic_settings import BaseSettings, SettingsConfigDict

from hashmatch.errors import ConfigInvalid

__all__ = ["Settings", "load"]

_MIB = 1024 * 1024


class Settings(BaseSettings):
    """Every setting with its unit, default and bounds; docs/settings.md is made from it."""

    model_config = SettingsConfigDict(env_prefix="HASHMATCH_", extra="forbid", frozen=True)

    data: Path = pydantic.Field(
        Path("hashmatch-data"), description="Folder of the database, the spool and the caches."
    )
    database: str = pydantic.Field(
        "",
        description="URL of the database, postgresql://USER:PASSWORD@HOST/NAME for servers that "
        "share one. Empty: SQLite in the data folder.",
    )
    listen: str = pydantic.Field(
        "127.0.0.1:50051",
        min_length=1,
        description="Address to listen at, HOST:PORT. Port 0: any that is free.",
    )
    tls_certificate: Path | None = pydantic.Field(
        None,
        description="File of the certificate to serve TLS by, and of those that vouch for it "
        "(PEM). Without it, only a loopback address is listened at.",
    )
    tls_key: Path | None = pydantic.Field(
        None, description="File of the certificate's private key (PEM)."
    )
    tls_client_ca: Path | None = pydantic.Field(
        None,
        description="File of the authorities that sign callers' certificates (PEM). With it, each "
        "caller must show one; it is known by that, or by a token besides.",
    )
    allow_plaintext: bool = pydantic.Field(
        False,
        description="Listen without TLS at any address: for a network, or behind a proxy, that "
        "encrypts. Tokens are readable on the way otherwise.",
    )
    unsafe_no_auth: bool = pydantic.Field(
        False,
        description="Ask no caller who it is: whoever reaches the port may do all.",
    )
    oidc_issuer: str = pydantic.Field(
        "",
        pattern=r"^(https://.+)?$",
        description="OpenID Connect issuer whose tokens are taken, as they name it. Empty: none.",
    )
    oidc_audience: str = pydantic.Field(
        "", description="What the issuer's tokens name this service."
    )
    oidc_keys: str = pydantic.Field(
        "",
        description="File or https address of the issuer's JSON Web Key Set. Empty: as its "
        "discovery document says.",
    )
    oidc_roles_claim: str = pydantic.Field(
        "hashmatch_roles",
        min_length=1,
        description="Claim of the issuer's tokens that holds names of roles: a list, or a text "
        "with spaces.",
    )
    oidc_banks_claim: str = pydantic.Field(
        "hashmatch_banks",
        min_length=1,
        description="Claim that holds names of the banks whose entries the caller may see and "
        "change. Tokens without it: all.",
    )
    metrics: str = pydantic.Field(
        "",
        description="Address to serve metrics for Prometheus at, HOST:PORT, by http and to whoever "
        "asks. Empty: nowhere.",
    )
    workers: int = pydantic.Field(
        os.cpu_count() or 1,
        ge=1,
        le=1024,
        description="Processes that decode.",
    )
    max_upload_bytes: int = pydantic.Field(
        2048 * _MIB, ge=1, description="Largest media, in bytes. Beyond: SIZE_LIMIT."
    )
    max_duration_seconds: int = pydantic.Field(
        4 * 3600,
        ge=1,
        le=30 * 24 * 3600,
        description="Longest media, in s. Beyond: DURATION_LIMIT.",
    )
    found_seconds: float = pydantic.Field(
        12.0,
        ge=0,
        le=3600,
        allow_inf_nan=False,
        description="Of a video, what is shown for so many s in all, in however short pieces, is "
        "missed by at most one screening in a thousand; of a shorter video, 98 % of it, and of a "
        "long one a tenth. 0: a tenth of each video, for up to half as much processor time again.",
    )
    max_frames: int = pydantic.Field(
        2_000_000, ge=1, description="Most frames that are decoded. Beyond: FRAMES_LIMIT."
    )
    max_streams: int = pydantic.Field(
        64, ge=1, description="Most streams of all sorts. Beyond: STREAMS_LIMIT."
    )
    max_frame_pixels: int = pydantic.Field(
        8192 * 8192,
        ge=1,
        description="Most pixels in a frame or image. Beyond: FRAME_SIZE_LIMIT.",
    )
    decode_seconds: float = pydantic.Field(
        300.0,
        gt=0,
        allow_inf_nan=False,
        description="Longest time one media may keep a worker busy, in s; time spent waiting for "
        "the uploader does not count. Beyond: DECODE_TIMEOUT.",
    )
    decode_cpu_seconds: float = pydantic.Field(
        600.0,
        ge=1,
        le=10**7,
        allow_inf_nan=False,
        description="Most processor time that decoding one media may take, in s. Beyond: "
        "CPU_LIMIT.",
    )
    decode_memory_bytes: int = pydantic.Field(
        2048 * _MIB,
        ge=64 * _MIB,
        description="Most memory that decoding one media may take, in bytes. Beyond: MEMORY_LIMIT.",
    )
    unsafe_no_sandbox: bool = pydantic.Field(
        False,
        description="Let workers do all that the server may. Without it, a server starts only "
        "where workers can be confined (Linux with libseccomp).",
    )
    max_uploads: int = pydantic.Field(
        1000,
        ge=2,
        description="Most uploads under way at once; a single caller may have half of them. "
        "Beyond: OVERLOADED.",
    )
    max_waiting: int = pydantic.Field(
        0,
        ge=0,
        description="Most uploads that wait for a worker; a single caller's may be half of them. "
        "0: four for each worker. Beyond: OVERLOADED.",
    )
    upload_idle_seconds: float = pydantic.Field(
        30.0,
        gt=0,
        allow_inf_nan=False,
        description="Longest time without a byte of an upload, in s. Beyond: UPLOAD_TOO_SLOW.",
    )
    upload_seconds: float = pydantic.Field(
        3600.0,
        gt=0,
        allow_inf_nan=False,
        description="Longest time that an upload may take to arrive, in s. Beyond: "
        "UPLOAD_TOO_SLOW.",
    )
    spool_memory_bytes: int = pydantic.Field(
        256 * _MIB, ge=0, description="Memory for all uploads under way, in bytes."
    )
    spool_disk_bytes: int = pydantic.Field(
        8192 * _MIB,
        ge=0,
        description="Disk for what of the uploads exceeds it, in bytes. Beyond: SPOOL_FULL.",
    )
    max_staleness_seconds: float = pydantic.Field(
        10.0,
        gt=0,
        allow_inf_nan=False,
        description="Longest time without news of the blocklist, in s. Beyond: BLOCKLIST_STALE, "
        "and nothing is NO_MATCH.",
    )
    keep_changes_days: int = pydantic.Field(
        0,
        ge=0,
        le=36_500,
        description="Days for which changes of the blocklist are kept, for WatchChanges and for "
        "repeats of their requests. 0: for ever.",
    )
    shutdown_seconds: float = pydantic.Field(
        30.0,
        ge=0,
        allow_inf_nan=False,
        description="Time that uploads under way have to end once the server is stopped.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = pydantic.Field(
        "INFO", description="Least level that is logged: DEBUG, INFO, WARNING or ERROR."
    )

    @property
    def database_url(self) -> str:
        """Where the store is."""
        return self.database or f"sqlite:///{(self.data / 'hashmatch.db').absolute()}"

    @property
    def listens_on_loopback(self) -> bool:
        """True if only this machine can reach the server."""
        host = self.listen.rpartition(":")[0].strip("[]")
        if host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False  # A name: of what, is not known.

    @pydantic.model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key are needed together")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("tls_client_ca needs tls_certificate and tls_key")
        if bool(self.oidc_issuer) != bool(self.oidc_audience):
            raise ValueError("oidc_issuer and oidc_audience are needed together")
        if self.unsafe_no_auth and (self.oidc_issuer or self.tls_client_ca):
            raise ValueError(
                "unsafe_no_auth asks nobody who he is; an issuer or a client "
                "authority is of no use with it"
            )
        encrypted = self.tls_certificate is not None or self.allow_plaintext
        if not encrypted and not self.listens_on_loopback:
            raise ValueError(
                f"{self.listen} can be reached from elsewhere: serve TLS (tls_certificate and "
                "tls_key), or set allow_plaintext if the network or a proxy encrypts"
            )
        return self

    @pydantic.field_validator("listen", "metrics")
    @classmethod
    def _has_a_port(cls, value: str) -> str:
        if value and not re.fullmatch(r".+:[0-9]{1,5}", value):
            raise ValueError("must be HOST:PORT")
        # gRPC takes 65536 for 0, and so on.
        if value and int(value.rpartition(":")[2]) > 65535:
            raise ValueError("no port is above 65535")
        return value


def load(**overrides: Any) -> Settings:
    """The settings; ``overrides`` that are None are left to the environment.

    Raises `ConfigInvalid` naming the first setting that is wrong.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        problem = first["msg"].removeprefix("Value error, ")
        if not name:  # What several settings say together.
            raise ConfigInvalid(problem) from None
        raise ConfigInvalid(f"{name} (HASHMATCH_{name.upper()}): {problem}", setting=name) from None
