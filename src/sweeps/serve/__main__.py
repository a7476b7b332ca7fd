"""Serve a promoted model over HTTP: `python -m sweeps.serve models:/reviews@champion`."""

from __future__ import annotations

import argparse
import errno
import importlib.util
import logging
import math
import os
import resource
import socket
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from sweeps.base.command import run_command
from sweeps.base.errors import ConfigError
from sweeps.base.say import say
from sweeps.serve.options import Options

_API_KEY = "SWEEPS_API_KEY"
_LOCAL = ("127.0.0.1", "::1")
_SECONDS_TO_END = 3  # for the requests in flight, beyond the time that each of them may take
_SECONDS_TO_FLUSH = 23  # for the log after them, where the tracking server takes it
_SPARE_FILES = 100  # that the process needs beside its connections

_DEFAULT = "default: %(default)s"

_NEEDED = ("fastapi", "fastapi_offline", "uvicorn", "httptools", "prometheus_client", "httpx2")


def main(argv: Sequence[str] | None = None) -> None:
    """Load a model and answer requests until told to stop."""
    defaults = Options()
    parser = argparse.ArgumentParser(
        prog="python -m sweeps.serve",
        description=__doc__,
        epilog=f"{_API_KEY} in the environment: requests must send it in the header X-API-Key. "
        "YOUTUBE_API_KEY: the key for /analyze/youtube.",
    )
    parser.add_argument("model", help="models:/NAME@champion, which is followed, or models:/NAME/VERSION")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    parser.add_argument("--port", type=int, default=8000, help="port (default: 8000; 0: any that is free)")
    parser.add_argument(
        "--max-batch", type=_positive(int), default=defaults.max_batch, help=f"texts in a batch ({_DEFAULT})"
    )
    parser.add_argument(
        "--max-text", type=_positive(int), default=defaults.max_text, help=f"characters of a text ({_DEFAULT})"
    )
    parser.add_argument(
        "--max-body", type=_positive(int), default=defaults.max_body, help=f"bytes of a body ({_DEFAULT})"
    )
    parser.add_argument(
        "--timeout", type=_positive(float), default=defaults.timeout, help=f"seconds for a request ({_DEFAULT})"
    )
    parser.add_argument("--cors", action="append", default=[], metavar="ORIGIN", help="a web origin that may call")
    parser.add_argument("--log-inputs", action="store_true", help="log what was asked with the predictions")
    parser.add_argument("--no-log", action="store_true", help="log no predictions to MLflow")
    parser.add_argument("--positive", metavar="LABEL", help="the positive label, where the version does not say")
    parser.add_argument(
        "--trust", action="append", default=[], metavar="TYPE", help="a type or task outside sweeps that may be loaded"
    )
    arguments = parser.parse_args(argv)
    run_command(lambda: serve(arguments.model, arguments.host, arguments.port, _options(arguments), arguments.trust))


def _options(arguments: argparse.Namespace) -> Options:
    key = os.environ.get(_API_KEY)
    if key is not None and not key.strip():
        raise ConfigError(f"{_API_KEY} is empty: set it to the key that requests must send, or unset it for none.")
    return Options(
        max_body=arguments.max_body,
        max_batch=arguments.max_batch,
        max_text=arguments.max_text,
        timeout=arguments.timeout,
        api_key=key,
        origins=tuple(arguments.cors),
        positive_label=arguments.positive,
        log=not arguments.no_log,
        log_inputs=arguments.log_inputs,
    )


def serve(model_uri: str, host: str, port: int, options: Options, trusted: Sequence[str]) -> None:
    """Serve until SIGINT or SIGTERM; requests in flight are answered first.

    Raises:
        ConfigError: the port is taken, or packages of the extra `serve` are missing.
        TrackingError: no such model.
        ModelError: it cannot be loaded without more trust.
    """
    missing = [name.replace("_", "-") for name in _NEEDED if not _installed(name)]
    if missing:
        raise ConfigError(f"The service needs more packages: pip install {' '.join(missing)}")
    with closing(_listen(host, port)) as listener:
        _serve_on(listener, model_uri, options, trusted)


def _serve_on(listener: socket.socket, model_uri: str, options: Options, trusted: Sequence[str]) -> None:
    # A server that hangs shall not keep the service from noticing the next version for minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")

    import uvicorn

    from sweeps.serve.app import make_app
    from sweeps.serve.holder import ModelHolder
    from sweeps.serve.log_limit import LogLimit
    from sweeps.serve.metrics import Metrics
    from sweeps.serve.protocol import PatientServer, limited_protocol
    from sweeps.serve.service import Service
    from sweeps.tracking.client import connect
    from sweeps.tracking.models.versions import ModelSource
    from sweeps.tracking.predictions.background_log import BackgroundLog
    from sweeps.tracking.predictions.spool import FOLDER, Spool

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("sweeps").setLevel(logging.INFO)
    metrics = Metrics()
    source = ModelSource(connect(must_exist=True), model_uri, trusted)
    holder = ModelHolder(source, options, lambda e: metrics.model_events.labels(e).inc())
    log = (
        BackgroundLog(Spool(Path(FOLDER)), flush=_SECONDS_TO_FLUSH, on_merged=metrics.log_merged.inc)
        if options.log
        else None
    )
    service = Service(holder, options, metrics, log)

    def started() -> None:
        version = holder.current.version
        host, port = listener.getsockname()[:2]
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        say(f"{model_uri} is version {version.number}; serving at {address} (its pages: {address}/docs)")
        if host not in _LOCAL and options.api_key is None:
            say(f"Note: anyone who reaches {host} may ask; {_API_KEY} in the environment makes the service want a key.")

    log_limit = LogLimit()
    app = make_app(service, started, log_limit.close)
    n_requests = _most_connections(2 * options.max_waiting)
    config = uvicorn.Config(
        app,
        http=limited_protocol(options.timeout, n_requests + _SPARE_FILES // 2),
        ws="none",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=math.ceil(options.timeout) + _SECONDS_TO_END,
        server_header=False,
        limit_concurrency=n_requests,
    )
    log_limit.install()
    PatientServer(config).run(sockets=[listener])


def _most_connections(wanted: int) -> int:
    """As many connections as are wanted, or as this process may have files open for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _SPARE_FILES
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max(allowed - _SPARE_FILES, 10)


def _listen(host: str, port: int) -> socket.socket:
    """Take the port before the model is loaded, so that a wrong one costs nothing."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        is_of_host = isinstance(error, socket.gaierror) or getattr(error, "errno", None) == errno.EADDRNOTAVAIL
        reason = str(error.strerror if isinstance(error, OSError) else error).rstrip(".")
        other = "--host 127.0.0.1" if is_of_host else "--port 8001"
        raise ConfigError(f"Cannot listen on {host}:{port}: {reason}. Choose another: {other}") from error
    return listener


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _positive(kind: type[int] | type[float]) -> Callable[[str], int | float]:
    def number(text: str) -> int | float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text}: more than 0 is expected")
        return value

    return number


if __name__ == "__main__":
    main()
