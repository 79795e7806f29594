"""The composition root: puts the server together, runs it, takes it down in order."""

import asyncio
import fcntl
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Final

import structlog
import uvloop

from openstreamer import __version__, footprint, hot_settings, logs, open_files
from openstreamer.access.proxies import TrustedProxies
from openstreamer.build_info import read_build
from openstreamer.config.addresses import Address, parse_address
from openstreamer.config.models import GlobalConfig
from openstreamer.config.settings import ServeSettings
from openstreamer.control.app import ControlApp
from openstreamer.control.durations import RequestDurations
from openstreamer.control.loop_lag import LoopLag
from openstreamer.control.node import NodeView
from openstreamer.control.ports import BuildInfo
from openstreamer.hot_settings import HotSettings
from openstreamer.listen.http.listener import HttpListener
from openstreamer.listen.http.media import MediaApp
from openstreamer.listen.http.router import Router
from openstreamer.listen.http.tls import HTTP_ALPN, Certificate
from openstreamer.listen.rtmp import RtmpListener
from openstreamer.media.errors import ConfigError
from openstreamer.settings_check import check_settings
from openstreamer.store.store import Store
from openstreamer.stream.histogram import Histogram
from openstreamer.stream.manager import StreamManager
from openstreamer.stream.memory import MediaMemory, default_max_bytes
from openstreamer.stream.pipeline import StreamPipeline
from openstreamer.stream.publish_guard import PublishGuard
from openstreamer.stream.tasks import cancel_and_wait, spawn, supervise
from openstreamer.stream.wiring import SourceOpener

logger = structlog.get_logger(__name__)

PUBLISH_TO_HUB_BOUNDS_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)
LOCK_FILE: Final = "serve.lock"
STREAMS_WITHIN_S: Final = 10.0  # the longest that the listeners wait for the streams of the store
DEMO_CODE: Final = "demo"
DEMO_STREAM: Final = {
    "name": "Demo",
    "description": "Bars, a clock and a tone, made by the server itself. Delete it when you like.",
    "inputs": [{"url": "test://", "priority": 0}],
}


def run(settings: ServeSettings) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit status.

    Raises :class:`~openstreamer.media.errors.OpenstreamerError` for what keeps the server from starting.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings))


async def _serve(settings: ServeSettings) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack:
        stack.enter_context(_sole_user_of(settings.data_dir))
        store = await stack.enter_async_context(
            Store.open(settings.store_location, check_settings=check_settings)
        )
        config = await store.global_config()
        logs.configure(settings.log_level or config.log.level, settings.log_format or config.log.format)
        if not store.has_room:
            logger.warning(
                "store_disk_full", store=store.shown_location, hint="changes are refused until there is room"
            )
        if store.is_new and settings.demo:
            await store.put_stream(DEMO_CODE, DEMO_STREAM)
        node = await _assemble(stack, settings, config, store)
        if settings.ready_file is not None:
            _write_ready_file(settings.ready_file, node)
            stack.callback(settings.ready_file.unlink, missing_ok=True)
        _greet(node, demo=await store.get_stream(DEMO_CODE) is not None)
        footprint.settle()
        await stopping.wait()
        logger.info("stopping")
    return 0


@contextmanager
def _sole_user_of(data_dir: Path) -> Iterator[None]:
    """Hold the data directory: two servers would write each other's live files. The kernel frees it when the
    process ends, however it does."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(data_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:  # the store is in there too, and says better what is wrong and what to do
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise ConfigError(f"{data_dir} is in use by another server", field="--data-dir") from err
        yield
    finally:
        os.close(descriptor)


async def _assemble(
    stack: AsyncExitStack, settings: ServeSettings, config: GlobalConfig, store: Store
) -> NodeView:
    """Bring everything up, what others depend on first; the stack takes it down in the opposite order."""
    open_files.raise_limit(open_files.needed(settings, config))
    tls = config.server.tls
    certificate = Certificate(tls.cert, tls.key) if tls.cert else None
    context = certificate.context(HTTP_ALPN) if certificate is not None else None
    latency = Histogram(PUBLISH_TO_HUB_BOUNDS_S)
    opener = SourceOpener(config.ingestor, settings.file_roots)
    manager = await stack.enter_async_context(
        StreamManager(
            store,
            lambda desired: StreamPipeline(desired.spec, desired.settings, opener.open, latency),
            memory=MediaMemory(settings.media_memory_max_bytes or default_max_bytes()),
        )
    )
    guard = PublishGuard(manager.offer_publisher)
    node = NodeView(manager, latency)
    node.is_tls = context is not None
    lag = LoopLag()
    lag_task = spawn(lag.run(), name="loop-lag")
    stack.push_async_callback(cancel_and_wait, [lag_task])
    durations = RequestDurations()
    build = read_build()
    media = MediaApp(manager, durations)
    proxies = TrustedProxies()
    hot = HotSettings(config, media, certificate, opener, proxies)
    following = spawn(
        supervise("hot-settings", lambda: hot.follow_for_ever(store), hot_settings.BACKOFF),
        name="hot-settings",
    )
    stack.push_async_callback(cancel_and_wait, [following])
    control = await stack.enter_async_context(
        ControlApp(
            store=store,
            streams=manager,
            server=node,
            metrics=node,
            build=BuildInfo(commit=build.commit, built_at=build.built_at),
            settings=hot,
            loop_lag=lag.histogram,
            durations=durations,
        )
    )
    # Who comes to a stream of the store must find it there, and encoders that are told of none may give up.
    await manager.apply_all(within_s=STREAMS_WITHIN_S)
    if (rtmp := settings.rtmp_address(config)) is not None:
        node.rtmp = await stack.enter_async_context(RtmpListener(rtmp.host, rtmp.port, guard.offer_publisher))
    if certificate is not None and (rtmps := settings.rtmps_address(config)) is not None:
        node.rtmps = await stack.enter_async_context(
            RtmpListener(rtmps.host, rtmps.port, guard.offer_publisher, ssl_context=certificate.context(()))
        )
    http = settings.http_address(config)
    node.http = await stack.enter_async_context(
        HttpListener(
            Router(control, media),
            http.host,
            http.port,
            open_files.http_limits(settings),
            ssl_context=context,
            proxies=proxies,
        )
    )
    return node


def _write_ready_file(path: Path, node: NodeView) -> None:
    """Tell whoever waits for the file, which appears complete or not at all."""
    document: dict[str, object] = {"pid": os.getpid(), **node.bound_addresses()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=path.name, delete=False) as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(file.name, path)
    except OSError as err:
        raise ConfigError(f"{path}: cannot be written: {err.strerror}", field="--ready-file") from err


def _greet(node: NodeView, *, demo: bool) -> None:
    """Print where to go. An address that means every interface is shown as this machine."""
    bound = node.bound_addresses()
    scheme = "https" if node.is_tls else "http"
    web = f"{scheme}://{_reachable(bound['http'])}"
    lines = [f"Openstreamer {__version__}", f"  start page  {web}/"]
    if demo:
        lines += [f"  demo        {web}/play/{DEMO_CODE}", f"  HLS         {web}/{DEMO_CODE}/index.m3u8"]
    if "rtmp" in bound:
        lines.append(f"  publish     rtmp://{_reachable(bound['rtmp'])}/live/<stream code>")
    if "rtmps" in bound:
        lines.append(f"              rtmps://{_reachable(bound['rtmps'])}/live/<stream code>")
    lines.append(f"  API         {web}/swagger/")
    try:
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
    except OSError:
        # The disk behind a redirection is full, or the reader has left: no reason not to serve. What is left
        # in the buffer must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _reachable(bound: str) -> str:
    address = parse_address(bound)
    if address.host in ("0.0.0.0", "::"):  # noqa: S104 - recognised, not bound
        address = Address("127.0.0.1", address.port)
    return str(address)
