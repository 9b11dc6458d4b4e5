"""Numbers for Prometheus: what a server does, and whether anything is wrong with it.

Labels are verdicts and reason codes alone. Nothing here names a media, an entry or a caller.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from hashmatch.errors import ConfigInvalid

__all__ = [
    "DENIALS",
    "PROBING",
    "REFUSALS",
    "SCREENINGS",
    "SCREENING_SECONDS",
    "WORKERS_REPLACED",
    "WORKER_FAULTS",
    "observe",
    "serving",
]

_REGISTRY: Final = CollectorRegistry()
_GAUGES: Final[dict[str, Gauge]] = {}

SCREENINGS: Final = Counter(
    "hashmatch_screenings",
    "Media that were screened and stored, by verdict.",
    ["verdict"],
    registry=_REGISTRY,
)
SCREENING_SECONDS: Final = Histogram(
    "hashmatch_screening_seconds",
    "From the begin of an upload to its verdict, its sender's time included.",
    buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800),
    registry=_REGISTRY,
)
DENIALS: Final = Counter(
    "hashmatch_denials",
    "Calls that were denied for want of credentials or a role, by reason.",
    ["reason"],
    registry=_REGISTRY,
)
PROBING: Final = Counter(
    "hashmatch_probing_suspected",
    "Callers that had more matches in an hour than a pipeline has: see the audit trail.",
    registry=_REGISTRY,
)
REFUSALS: Final = Counter(
    "hashmatch_refusals",
    "Calls that ended with an error, by its reason.",
    ["reason"],
    registry=_REGISTRY,
)
WORKERS_REPLACED: Final = Counter(
    "hashmatch_workers_replaced",
    "Workers that were ended and started anew: by a fault, a limit, or what they had grown to.",
    registry=_REGISTRY,
)
WORKER_FAULTS: Final = Counter(
    "hashmatch_worker_faults",
    "Media that could not be looked at because of a fault of hashmatch.",
    registry=_REGISTRY,
)


def observe(gauges: Mapping[str, tuple[str, Callable[[], float]]]) -> None:
    """Adds gauges for as long as the process lives: by the name of each what it means, and who
    gives its value whenever it is read. A later one takes the place of its namesake.
    """
    for name, (what, value) in gauges.items():
        if name not in _GAUGES:
            _GAUGES[name] = Gauge(name, what, registry=_REGISTRY)
        _GAUGES[name].set_function(value)


@contextlib.contextmanager
def serving(listen: str) -> Iterator[str]:
    """Serves ``http://HOST:PORT/metrics`` in a thread; gives HOST:PORT.

    Raises `ConfigInvalid` if that cannot be. An empty ``listen`` serves nowhere, and gives it back.
    """
    if not listen:
        yield listen
        return
    host, _, port = listen.rpartition(":")
    try:
        server, thread = start_http_server(int(port), host.strip("[]"), _REGISTRY)
    except OSError as error:
        raise ConfigInvalid(
            f"metrics: cannot listen on {listen}; is the port in use?", setting="metrics"
        ) from error
    try:
        yield f"{host}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
