"""The composition root of the admin process: the admin API, the console and the metrics page.

It reads the store itself and queries control for the rest. It holds no provider secrets and no virtual keys. Its
environment has none either (`children.ADMIN_ENVIRONMENT`).
"""

import asyncio
import logging
import os
import socket
import sys
from pathlib import Path

from pointsman.admin.alerts.runner import AlertRunner
from pointsman.admin.app import make_app
from pointsman.admin.auth import METRICS_VARIABLE, given_token, load_or_make
from pointsman.admin.listener import server_of
from pointsman.admin.outgoing import Outgoing
from pointsman.admin.services import Services
from pointsman.control.store.alerts import AlertQueries
from pointsman.control.store.database import StoreError, store_url
from pointsman.control.store.reports import Reports
from pointsman.link.inquirer import Inquirer
from pointsman.runtime.tasks import (
    STORE_URL,
    ChildTask,
    log_to_stderr,
    notify_ready,
    stop_event,
    tune_garbage_collector,
)
from pointsman.transport.server_tls import ServerTls

NICE = 10  # the priority of reports is below that of requests and leases

_logger = logging.getLogger("pointsman")


async def work(task: ChildTask) -> int:
    """Run the admin process until it receives a stop signal. Return the exit code."""
    log_to_stderr(task.log_level, "admin: ")
    os.nice(NICE)
    stopping = stop_event(task.life_fd)
    try:
        token = load_or_make(Path(task.data_dir), os.environ)
        metrics_token = given_token(METRICS_VARIABLE, os.environ)
        url = store_url(os.environ.get(STORE_URL), Path(task.data_dir))
    except (OSError, ValueError) as error:
        _logger.error("cannot load the admin token: %s", error)  # noqa: TRY400 -- a traceback would not help
        return 1
    except StoreError as error:
        _logger.error("%s", error)  # noqa: TRY400
        return 1
    control, store = Inquirer(task.link), Reports.of(url)
    # Behind a reverse proxy on this machine, all requests seem local, so a configured token is always required.
    is_open = task.console_is_loopback and metrics_token is None
    services = Services(
        control=control, store=store, token=token, metrics_token=metrics_token, metrics_are_open=is_open
    )
    outgoing = services.outgoing = Outgoing(control, store, services.page, Path(task.data_dir))
    alerts = services.alerts = AlertRunner(control, AlertQueries(store.rows))
    working = [asyncio.create_task(outgoing.run()), asyncio.create_task(alerts.run())]
    try:
        tls = ServerTls(task.tls) if task.tls is not None else None
    except OSError as error:  # `ssl.SSLError` is one
        _logger.error("cannot use the files of console.tls: %s", error)  # noqa: TRY400
        return 1
    if tls is not None:
        working.append(asyncio.create_task(tls.watch()))
    server = server_of(make_app(services, frozenset(task.hosts)), tls.context if tls is not None else None)
    serving = asyncio.create_task(server.serve(sockets=[socket.socket(fileno=fd) for fd in task.listen_fds]))
    while not server.started and not serving.done():  # noqa: ASYNC110 -- uvicorn has no event for it
        await asyncio.sleep(0.005)
    if token.made is not None:
        print(f"admin token, shown only once: {token.made}", file=sys.stderr, flush=True)  # noqa: T201 -- at any level
    tune_garbage_collector()
    notify_ready(task.ready_fd)
    await stopping.wait()
    server.should_exit = True
    await serving
    for one in working:
        one.cancel()
    await asyncio.gather(*working, return_exceptions=True)
    control.close()
    await store.close()
    return 0
