"""`shopfloor serve`: the model for any OpenAI client, until it is told to stop.

    shopfloor serve --port 8000
    shopfloor serve --port 0 --json     # a free port; one line of JSON says which
    SHOPFLOOR_SERVE_KEYS=… shopfloor serve --host 0.0.0.0 --rate 120
    SHOPFLOOR_UPSTREAM_KEY=… shopfloor serve --upstream http://gpu:8000/v1 --upstream-model Qwen/Qwen3-VL-8B

SIGTERM ends it when everybody has been answered, or `--drain` seconds later. Served without `--model`, or as
`champion` or `challenger`, it takes over the next one as soon as the registry names it.

Not covered: the protocol (`server.py`) and a server that starts and stops with a command (`local_server.py`).
"""

from __future__ import annotations

import argparse
import errno
import ipaddress
import json
import os
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

from apps.serving.gate import KEYS, Gate, keys_from_environment
from apps.serving.limits import Limits
from tools.settings import SettingsError, endpoint, load

if TYPE_CHECKING:
    from fastapi import FastAPI

    from apps.server import Desk


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="M", help="a folder, champion, challenger or a version's number")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=8000, metavar="P", help="0: a free one (default: 8000)")
    parser.add_argument("--upstream", metavar="URL", help="answer by this OpenAI-compatible endpoint instead")
    parser.add_argument("--upstream-model", metavar="NAME", help="the model to ask for there")
    parser.add_argument("--batch", type=_count, default=16, metavar="N", help="answers at once (default: 16)")
    parser.add_argument(
        "--queue", type=_count, default=64, metavar="N", help="requests that may wait (default: 64)"
    )
    parser.add_argument(
        "--rate", type=_count, metavar="N", help="requests a minute for each key (default: any)"
    )
    parser.add_argument(
        "--timeout", type=_count, default=120, metavar="S", help="seconds for an answer (120)"
    )
    parser.add_argument(
        "--drain", type=_count, default=30, metavar="S", help="seconds to finish when stopped (30)"
    )
    parser.add_argument("--json", action="store_true", help="print url and model as one JSON object")
    parser.add_argument("--with-parent", action="store_true", help=argparse.SUPPRESS)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no port; give one from 1 to 65535, or 0 for a free one"
        )
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM.

    The port is taken before the model is loaded, so a clash shows at once and early questions wait.
    """
    if args.with_parent:
        threading.Thread(target=_follow_parent, daemon=True).start()
    # A command's own server is asked by that command alone, over loopback, for the model here.
    keys = [] if args.with_parent else keys_from_environment()
    if not keys and not _is_loopback(args.host):
        raise SettingsError(f"others can reach {args.host}: set {KEYS}, or listen on 127.0.0.1")
    if not args.with_parent:
        _settle(args)
    try:
        listener = _listen(args.host, args.port)
    except OSError as error:
        print(f"shopfloor: {_mend(error, args.host, args.port)}", file=sys.stderr)
        return 2
    with listener:
        try:
            return _serve(args, listener, keys)
        except KeyboardInterrupt:  # uvicorn raises the signal again after a clean stop
            return 0


def application() -> FastAPI:
    """What `shopfloor serve` serves when started without options: for servers by others (`deploy/`).

    Model, upstream and keys are those of the settings. Raises SettingsError and NoModel.
    """
    from apps.main import OFFLINE
    from apps.server import create_app

    for name, value in OFFLINE.items():
        os.environ.setdefault(name, value)
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args([])
    _settle(args)
    return create_app(_desk(args, keys_from_environment())[0])


def _settle(args: argparse.Namespace) -> None:
    """Put in what the settings say, where no option does. Raises SettingsError."""
    found = load()
    if args.model and args.upstream:
        raise SettingsError("give --model or --upstream, not both")
    args.upstream = args.upstream or (None if args.model else found.upstream_url)
    args.upstream_model = args.upstream_model or found.upstream_model
    if args.upstream and not args.upstream_model:
        raise SettingsError("name the upstream's model with --upstream-model")
    try:
        if args.upstream:
            endpoint(args.upstream)
    except ValueError as error:
        raise SettingsError(f"--upstream {args.upstream} can't be used; {error}") from error


def _desk(args: argparse.Namespace, keys: list[str]) -> tuple[Desk, str]:
    limits = Limits(batch=args.batch, queue=args.queue, seconds=args.timeout)
    return _upstream(args, keys, limits) if args.upstream else _local(args, keys, limits)


def _serve(args: argparse.Namespace, listener: socket.socket, keys: list[str]) -> int:
    desk, where = _desk(args, keys)

    import uvicorn

    from apps.server import create_app
    from apps.serving.protocol import patient_for

    host = f"[{args.host}]" if ":" in args.host else args.host
    url = f"http://{host}:{listener.getsockname()[1]}/v1"

    class Server(uvicorn.Server):
        """Says where it is once it answers, not before."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if args.json:
                print(json.dumps({"url": url, "model": desk.model_id, "folder": where}), flush=True)
            else:
                print(f"serving {desk.model_id} ({where}) at {url}; Ctrl-C stops it", flush=True)

    app: Any = create_app(desk)
    config = uvicorn.Config(
        app,
        http=patient_for(desk.limits.reading),
        ws="none",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=3 if args.with_parent else args.drain,
    )
    Server(config).run(sockets=[listener])
    return 0


def _local(args: argparse.Namespace, keys: list[str], limits: Limits) -> tuple[Desk, str]:
    """Our own engine. What was not asked for by folder or number follows its alias in the registry."""
    from functools import partial

    from apps.server import Desk
    from apps.serving.champion import Champion
    from apps.serving.metrics import Metrics
    from training.registry import CHALLENGER, CHAMPION, resolve

    name = args.model or load().model
    folder = resolve(name)
    metrics, model_id = Metrics(), f"shopfloor-{folder.name}"
    follow = partial(resolve, name) if name in (None, CHAMPION, CHALLENGER) and not args.with_parent else None
    champion = Champion(folder, limits, metrics, model_id, follow)
    return Desk(model_id, limits, Gate(keys, args.rate), metrics, champion), str(folder)


def _upstream(args: argparse.Namespace, keys: list[str], limits: Limits) -> tuple[Desk, str]:
    from apps.server import Desk
    from apps.serving.metrics import Metrics
    from apps.serving.upstream import Upstream

    metrics, model_id = Metrics(), f"shopfloor-{args.upstream_model}"
    metrics.serves(model_id, "upstream")
    upstream = Upstream(args.upstream, args.upstream_model, limits)
    return Desk(model_id, limits, Gate(keys, args.rate), metrics, upstream=upstream), args.upstream


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except BaseException:
        listener.close()
        raise
    return listener


def _mend(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use; give another with --port, or --port 0 for a free one"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"not allowed to listen on port {port}; give one above 1023 with --port"
    return f"can't listen on {host}:{port} ({error.strerror or error}); mend --host"


def _follow_parent() -> None:
    """Stop when whoever started us closes our stdin, by dying or on purpose."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(10)  # for a clean stop; a model being loaded can't be interrupted everywhere
    os._exit(1)
