#!/usr/bin/env python3
"""The audit of Debian's haproxy and nginx. What it says is printed, and may change with the package any day: the test
is that it has a word for every pair."""

import contextlib
import os
import shutil
import socket
import subprocess
import unittest

from fixture import GOOD, STRANGER, AuditTest, arguments_for, folder, pki, run
from support import unused_port, wait_until

NAMES = ("open.test", "ask.test", "require.test", "other.test")
PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))

NGINX = """
daemon off; master_process off; user root; pid nginx.pid; error_log nginx.log;
events {{}}
http {{
  access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  ssl_certificate pki/server.pem; ssl_certificate_key pki/server.key;
  ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:all:1m;
  server {{ listen 127.0.0.1:{port} ssl; server_name open.test; return 200; }}
  server {{ listen 127.0.0.1:{port} ssl; server_name ask.test; return 200;
           ssl_verify_client optional; ssl_client_certificate pki/root.pem; ssl_verify_depth 2; }}
  server {{ listen 127.0.0.1:{port} ssl; server_name require.test; return 200;
           ssl_verify_client on; ssl_client_certificate pki/root.pem; ssl_verify_depth 2; }}
  server {{ listen 127.0.0.1:{port} ssl; server_name other.test; return 200;
           ssl_verify_client on; ssl_client_certificate pki/unknown_root.pem; }}
}}
"""

HAPROXY = """
defaults
  mode http
  timeout client 10s
  timeout connect 10s
  timeout server 10s
frontend f
  bind 127.0.0.1:{port} ssl crt-list names.txt ssl-min-ver TLSv1.2
  http-request return status 200
"""

HAPROXY_NAMES = """
both.pem [verify none] open.test
both.pem [verify optional ca-file pki/root.pem] ask.test
both.pem [verify required ca-file pki/root.pem] require.test
both.pem [verify required ca-file pki/unknown_root.pem] other.test
"""


class Servers(AuditTest):
    def start(self, port, command):
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait, 20)
        self.addCleanup(process.kill)

        def is_listening():
            self.assertIsNone(process.poll(), f"{command[0]} has ended")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return True
        wait_until(is_listening, f"{command[0]} did not start")

    def program(self, name):
        return shutil.which(name, path=PATH) or self.skipTest(f"{name} is not installed")

    def check(self, port):
        table = run(*arguments_for(port, NAMES, GOOD, STRANGER))
        print(f"\n{self.id()}\n{table.stdout}", flush=True)
        report = self.audit(port, NAMES, GOOD, STRANGER)  # which checks that every pair is classified
        self.assertLess(len(report.outcomes() & {"unreachable", "timed_out", "garbled"}), 1, report.json["counts"])
        self.assertIn("own_name", report.outcomes())

    def test_nginx(self):
        program, port = self.program("nginx"), unused_port()
        (folder / "nginx.conf").write_text(NGINX.format(port=port))
        self.start(port, [program, "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "nginx.log"])
        self.check(port)

    def test_haproxy(self):
        program, port = self.program("haproxy"), unused_port()
        (folder / "both.pem").write_text((pki / "server.pem").read_text() + (pki / "server.key").read_text())
        (folder / "names.txt").write_text(HAPROXY_NAMES)
        (folder / "haproxy.cfg").write_text(HAPROXY.format(port=port))
        self.start(port, [program, "-db", "-f", folder / "haproxy.cfg"])
        self.check(port)


if __name__ == "__main__":
    unittest.main()
