"""A running reverse proxy of examples/, for the tests beside this file: each is called with the program to test."""

import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support import (Client, Clock, Failures, Program, ScriptedUpstream, echo_upstream, make_pki, temporary_folder,
                     unused_port)

NAMES = ("open.test", "optional.test", "required.test", "private.test", "scripted.test", "down.test")
OK = b"HTTP/1.1 200 OK\r\n"

program = pathlib.Path(sys.argv.pop(1)).resolve()
_outermost = unittest.TestCase()
unittest.addModuleCleanup(_outermost.doCleanups)
folder = pathlib.Path(_outermost.enterContext(temporary_folder()))
pki = folder / "pki"
make_pki(pki, *NAMES)
echo = _outermost.enterContext(echo_upstream())
scripted = ScriptedUpstream()
_outermost.addCleanup(scripted.close)


def site(mode, upstream="echo", **more):
    asks = {} if mode == "off" else {"ca_file": "pki/root.pem", "forward_client_certificate": True}
    return {"client_certificate": mode, "upstream": upstream, **asks, **more}


def configuration(**time_limits):
    config = {
        "log": "access.log",
        "time_limits": {"handshake_s": 5, "header_s": 5, "idle_s": 60, "body_s": 5, "upstream_s": 5, "shutdown_s": 5},
        "upstreams": {
            "echo": {"address": "127.0.0.1", "port": echo},
            "scripted": {"address": "127.0.0.1", "port": scripted.port},
            "down": {"address": "127.0.0.1", "port": unused_port()},
        },
        "listeners": [{
            "address": "127.0.0.1", "port": 0, "certificate": "pki/server.pem", "private_key": "pki/server.key",
            "server_names": {
                "open.test": site("off"),
                "optional.test": site("optional"),
                "required.test": site("required"),
                "private.test": site("optional", session_reuse=False, forward_client_certificate=False),
                "scripted.test": site("off", "scripted"),
                "down.test": site("off", "down"),
            },
        }],
    }
    config["time_limits"].update(time_limits)
    return config


def server_names(config):
    return config["listeners"][0]["server_names"]


def write_configuration(config, home=folder):
    file = home / "proxy.json"
    file.write_text(config if isinstance(config, str) else json.dumps(config))
    return file


def start(config, home=folder, preloaded=None):
    (home / "access.log").unlink(missing_ok=True)
    proxy = Program([program, "--config", write_configuration(config, home)], home / "access.log", preloaded=preloaded)
    listening = next(line for line in proxy.errors if line.startswith("listening on"))
    proxy.port = int(listening.rsplit(":", 1)[1])
    return proxy


def make_clock():
    return Clock(program.with_name("libsimulated_clock.so"), folder / "clock")


def make_failures():
    return Failures(program.with_name("libfailing_calls.so"), folder / "failing")


def fields_of(response, name):
    """The values that the upstream got for a field."""
    return [value for field, value in json.loads(response.content)["fields"] if field.lower() == name.lower()]


class ProxyTest(unittest.TestCase):
    """Each test has a proxy of its own, self.proxy, and fails if it does not end well."""

    time_limits = {}
    clock = None

    def configuration(self):
        return configuration(**self.time_limits)

    def setUp(self):
        self.proxy = start(self.configuration(), preloaded=self.clock)
        self.addCleanup(lambda: self.assertEqual(self.proxy.stop(), 0, self.proxy.errors))

    def reload(self, config):
        """What the proxy says to a new configuration."""
        write_configuration(config)
        return self.proxy.reload()

    def connect(self, server_name="open.test", context=None, session=None):
        return self.enterContext(Client(self.proxy.port, server_name, context, session))

    def script(self, script):
        """What the upstream of scripted.test does."""
        scripted.script = script
