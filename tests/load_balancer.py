"""nginx in the part of the load balancer of templates/stacks/services.py.

It ends TLS with a certificate of the authority of `make create-certificates`, hands WebSockets on,
appends the caller to X-Forwarded-For, and cuts off what is silent for too long. Deregistered, it
does what AWS's does: new connections go elsewhere at once, open ones stay until the delay ends,
and then all of them are cut without a close frame.
"""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import subprocess
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect

from scripts.cloud.certificates import Authority
from scripts.programs import free_port
from tests.waiting import eventually

# Debian puts it where not everybody looks.
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
NO_NGINX = "nginx is not installed; on Debian: apt-get install nginx-light"


def issue_certificate(directory: Path, environment: str, names: list[str]) -> Path:
    """Write ca.pem, and the chain.pem and key.pem of a load balancer; return the directory."""
    authority = Authority.new(environment)
    chain, key = authority.issue(names)
    for name, content in (("ca.pem", authority.pem), ("chain.pem", chain), ("key.pem", key)):
        (directory / name).write_bytes(content)
    return directory


class LoadBalancer:
    """A running nginx before one target. ca: what clients trust. name: in its certificate.

    delay_seconds: how long open connections stay after their target is deregistered.
    """

    def __init__(
        self,
        home: Path,
        certificate: Path,
        target: int,
        *,
        idle_seconds: int,
        name: str,
        delay_seconds: int = 60,
    ) -> None:
        assert NGINX is not None, NO_NGINX
        self.port = free_port()
        self.ca = str(certificate / "ca.pem")
        self.name = name
        self._home = home / f"nginx{self.port}"
        self._home.mkdir()
        self._certificate = certificate
        self._idle_seconds = idle_seconds
        self._delay_seconds = delay_seconds
        self._log = self._home / "log"
        self._configure(target)
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                [NGINX, "-p", str(self._home), "-c", str(self._configuration), "-e", "stderr"],
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        eventually(lambda: self._workers() == 1 or self.process.poll() is not None)
        assert self.process.poll() is None, self._log.read_text()

    def deregister(self, instead: int) -> None:
        """Deregister the target: newcomers go to another one instead."""
        workers = self._workers()
        self._configure(instead)
        self.process.send_signal(signal.SIGHUP)
        eventually(lambda: self._workers() > workers)

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(10)

    def context(self) -> ssl.SSLContext:
        """What a client that trusts it connects with."""
        return ssl.create_default_context(cafile=self.ca)

    def connect(self, identity: str = "CP1", *, source: str = "127.0.0.1", **options: Any) -> Any:
        """Open a WebSocket to it from an address of this machine: an async context manager."""
        return connect(
            f"wss://127.0.0.1:{self.port}/{identity}",
            ssl=self.context(),
            server_hostname=self.name,
            local_addr=(source, 0),
            subprotocols=["ocpp1.6"],
            proxy=None,
            **options,
        )

    @property
    def _configuration(self) -> Path:
        return self._home / "nginx.conf"

    def _workers(self) -> int:
        """Return how many workers have been started so far."""
        return self._log.read_text().count("start worker process ")

    def _configure(self, target: int) -> None:
        home, certificate, idle = self._home, self._certificate, self._idle_seconds
        self._configuration.write_text(f"""
            daemon off;
            pid {home}/pid;
            error_log stderr notice;
            worker_processes 1;
            worker_shutdown_timeout {self._delay_seconds}s;
            events {{ worker_connections 1024; }}
            http {{
                access_log off;
                client_body_temp_path {home}/body;
                proxy_temp_path {home}/proxy;
                fastcgi_temp_path {home}/fastcgi;
                uwsgi_temp_path {home}/uwsgi;
                scgi_temp_path {home}/scgi;
                # A plain request keeps its connection, as the ALB's does.
                map $http_upgrade $connection_header {{ default upgrade; "" ""; }}
                server {{
                    listen 127.0.0.1:{self.port} ssl;
                    ssl_certificate {certificate}/chain.pem;
                    ssl_certificate_key {certificate}/key.pem;
                    ssl_protocols TLSv1.2 TLSv1.3;
                    location / {{
                        proxy_pass http://127.0.0.1:{target};
                        proxy_http_version 1.1;
                        proxy_set_header Host $http_host;
                        proxy_set_header Upgrade $http_upgrade;
                        proxy_set_header Connection $connection_header;
                        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                        proxy_set_header X-Forwarded-Proto https;
                        proxy_read_timeout {idle}s;
                        proxy_send_timeout {idle}s;
                    }}
                }}
            }}
            """)
