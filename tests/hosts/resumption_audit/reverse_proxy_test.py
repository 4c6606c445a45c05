#!/usr/bin/env python3
"""The audit of examples/reverse_proxy, in which there is nothing to find."""

import json
import pathlib
import unittest

from fixture import GOOD, MECHANISMS, STRANGER, AuditTest, folder, pki, reverse_proxy
from support import Program, echo_upstream

SITES = {
    "open.test": ("off", None),
    "other.test": ("off", None),
    "ask.test": ("optional", "root.pem"),
    "require.test": ("required", "root.pem"),
    "forbid.test": ("required", "unknown_root.pem"),
}
VERIFIED_BY = {"root.pem": "good", "unknown_root.pem": "stranger"}


def expected_outcome(certificate, made, offered, mechanism):
    mode, ca_file = SITES[made]
    if mode == "required" and VERIFIED_BY[ca_file] != (certificate and pathlib.Path(certificate).stem):
        # A session under "required" is kept for who has proved himself; TLS 1.2 has promised its ticket before.
        return "no_session" if mechanism == "1.3 ticket" else "not_resumable"
    return "own_name" if made == offered else "full"


class ReverseProxy(AuditTest):
    def start(self):
        def site(mode, ca_file):
            asks = {"ca_file": f"pki/{ca_file}"} if ca_file else {}
            return {"client_certificate": mode, "upstream": "echo", **asks}
        config = {
            "log": "access.log",
            "upstreams": {"echo": {"address": "127.0.0.1", "port": self.enterContext(echo_upstream())}},
            "listeners": [{
                "address": "127.0.0.1", "port": 0, "certificate": "pki/server.pem", "private_key": "pki/server.key",
                "server_names": {name: site(*policy) for name, policy in SITES.items()},
            }],
        }
        (folder / "proxy.json").write_text(json.dumps(config))
        proxy = Program([reverse_proxy, "--config", folder / "proxy.json"], folder / "access.log")
        self.addCleanup(lambda: self.assertEqual(proxy.stop(), 0, proxy.errors))
        return int(proxy.errors[0].rsplit(":", 1)[1])

    def test_nothing_is_found(self):
        port = self.start()
        for more in ([], ["--no-http"]):
            report = self.audit(port, SITES, GOOD, STRANGER, more=more)
            self.assertEqual(report.exit_code, 0)
            for (certificate, made, offered, mechanism), pair in report.pairs.items():
                with self.subTest(certificate=certificate, made=made, offered=offered, mechanism=mechanism, more=more):
                    outcome = expected_outcome(certificate, made, offered, mechanism)
                    self.assertEqual(pair["outcome"], outcome)
                    if outcome == "no_session":
                        continue
                    self.assertEqual(pair["offered"]["asked"], outcome != "own_name" and SITES[offered][0] != "off")
            self.assertEqual({pair["mechanism"] for pair in report.json["pairs"]}, set(MECHANISMS))


if __name__ == "__main__":
    unittest.main()
