"""Settings of the server: from ``HASHMATCH_…`` variables, then from the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

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
        pattern=r"^.+:[0-9]{1,5}$",
        description="Address to listen at, HOST:PORT. Port 0: any that is free.",
    )
    metrics: str = pydantic.Field(
        "",
        pattern=r"^(.+:[0-9]{1,5})?$",
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
        "0: six for each worker. Beyond: OVERLOADED.",
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

    @pydantic.field_validator("listen", "metrics")
    @classmethod
    def _has_a_port(cls, value: str) -> str:
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
        raise ConfigInvalid(
            f"{name} (HASHMATCH_{name.upper()}): {first['msg']}", setting=name
        ) from None
