#!/usr/bin/env python3
"""What a server name's members do: refusing in the handshake, revocation, hints, ages, tickets, wildcards."""

import re
import ssl
import subprocess
import unittest

from fixture import ProxyTest, configuration, fields_of, make_clock, pki, server_names, site
from support import BOTH_VERSIONS, PATIENCE_S, TLS_1_2, TLS_1_3, client_context

NAMES = {
    "strict.test": site("required", refuse="handshake"),
    "crl.test": site("optional", crl_file="pki/crls.pem"),
    "hints.test": site("optional", hint_file="pki/unknown_root.pem"),
    "depth.test": site("optional", depth=0),
    "depth1.test": site("optional", depth=1),
    "one.test": site("optional", tickets=1),
    "five.test": site("off", tickets=5),
    "aged.test": site("optional", max_age_s=3600),
    "*.wild.test": site("optional"),
    "*": site("off"),
}


class MembersTest(ProxyTest):
    def configuration(self):
        config = configuration()
        server_names(config).update(NAMES)
        return config


class Members(MembersTest):
    def client_verify(self, name, certificate):
        self.connect(name, client_context(certificate=pki / f"{certificate}.pem")).get()
        return self.proxy.next_log()["request"]["tls"]["client_verify"]

    def s_client(self, name):
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{self.proxy.port}", "-servername", name, "-ign_eof",
                   "-tls1_3"]
        request = f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"
        done = subprocess.run(command, input=request, capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertEqual(self.proxy.next_log()["status"], 200)
        return done.stdout

    def test_a_required_certificate_is_refused_in_the_handshake(self):
        none = {TLS_1_2: "SSLV3_ALERT_HANDSHAKE_FAILURE", TLS_1_3: "TLSV13_ALERT_CERTIFICATE_REQUIRED"}
        expected = {
            None: (none, "peer did not return a certificate"),
            "expired": (dict.fromkeys(BOTH_VERSIONS, "SSLV3_ALERT_CERTIFICATE_EXPIRED"), "certificate has expired"),
            "stranger": (dict.fromkeys(BOTH_VERSIONS, "TLSV1_ALERT_UNKNOWN_CA"), "unable to get local issuer"),
        }
        for version in BOTH_VERSIONS:
            for certificate, (alerts, reason) in expected.items():
                with self.subTest(version=version, certificate=certificate):
                    with self.assertRaises(ssl.SSLError) as refused:
                        file = certificate and pki / f"{certificate}.pem"
                        self.connect("strict.test", client_context(version, file)).get()
                    self.assertEqual(refused.exception.reason, alerts[version])
                    line = self.proxy.next_log()
                    self.assertEqual(line["server_name"], "strict.test")
                    self.assertIn(reason, line["error"])
                    self.assertNotIn("status", line)
            client = self.connect("strict.test", client_context(version, pki / "good.pem"))
            self.assertEqual(client.get().status, 200)
            self.assertEqual(self.proxy.next_log()["request"]["tls"]["client_verify"], "SUCCESS")

    def test_the_alert_is_read_by_a_client_that_is_still_sending(self):
        for _ in range(10):
            with self.assertRaises(ssl.SSLError) as refused:
                client = self.connect("strict.test", client_context(TLS_1_3))
                client.raw("POST / HTTP/1.1\r\n^\r\nContent-Length: 200000\r\n\r\n" + "x" * 200_000)
            self.assertEqual(refused.exception.reason, "TLSV13_ALERT_CERTIFICATE_REQUIRED")

    def test_revoked(self):
        self.assertEqual(self.client_verify("crl.test", "good"), "SUCCESS")
        self.assertEqual(self.client_verify("crl.test", "revoked"), "FAILED:certificate revoked")
        self.assertEqual(self.client_verify("optional.test", "revoked"), "SUCCESS")

    def test_hints(self):
        for name, wanted in (("optional.test", "Client CA"), ("hints.test", "Unknown CA")):
            text = self.s_client(name)
            names = re.search("Acceptable client certificate CA names\n(.*?)\nRequested", text, re.DOTALL)[1]
            self.assertEqual(names.replace(" = ", "="), f"CN={wanted}")  # openssl 3.4 has no spaces
        self.assertEqual(self.client_verify("hints.test", "good"), "SUCCESS")  # hints are not trust
        self.assertEqual(self.client_verify("hints.test", "stranger"), "FAILED:unable to verify the first certificate")

    def test_depth(self):
        self.assertEqual(self.client_verify("one.test", "good"), "SUCCESS")
        self.assertTrue(self.client_verify("depth.test", "good").startswith("FAILED:"))
        self.assertEqual(self.client_verify("depth1.test", "good"), "SUCCESS")

    def test_tickets(self):
        for name, count in (("one.test", 1), ("optional.test", 2), ("five.test", 5), ("private.test", 0)):
            with self.subTest(name):
                self.assertEqual(self.s_client(name).count("Post-Handshake New Session Ticket arrived"), count)

    def test_a_wildcard_and_any_name(self):
        context = client_context(certificate=pki / "good.pem")
        for name, forwarded in (("a.wild.test", 1), ("b.A.wild.test", 1), ("wild.test", 0), ("elsewhere.example", 0)):
            with self.subTest(name):
                response = self.connect(name, context).get()
                self.assertEqual(fields_of(response, "Host"), [name.lower()])
                self.assertEqual(len(fields_of(response, "Client-Cert")), forwarded)
                self.assertEqual(self.proxy.next_log()["server_name"], name.lower())
        self.assertEqual(self.connect("a.wild.test").raw("GET / HTTP/1.1\r\nHost: b.wild.test\r\n\r\n").status, 421)
        with self.assertRaises(ssl.SSLError):
            self.connect(None)

    def test_a_session_stays_with_its_name_under_a_wildcard(self):
        for version in BOTH_VERSIONS:
            context = client_context(version, pki / "good.pem")
            first = self.connect("a.wild.test", context)
            first.get()
            for name, resumed in (("a.wild.test", True), ("b.wild.test", False)):
                with self.subTest(version=version, name=name):
                    client = self.connect(name, context, first.socket.session)
                    self.assertEqual(len(fields_of(client.get(), "Client-Cert")), 1)
                    self.assertEqual(client.socket.session_reused, resumed)


class Ages(MembersTest):
    def setUp(self):
        self.clock = make_clock()
        super().setUp()

    def visit(self, name, context, session=None):
        client = self.connect(name, context, session)
        client.get()
        line = self.proxy.next_log()
        self.assertEqual(line["resumed"], client.socket.session_reused)
        self.assertEqual(line["request"]["tls"]["client_verify"], "SUCCESS")
        return client.socket.session_reused, client.socket.session

    def test_an_authentication_ends_at_its_maximum_age_however_often_it_is_renewed(self):
        for version in BOTH_VERSIONS:
            with self.subTest(version):
                context = client_context(version, pki / "good.pem")
                resumed, session = self.visit("aged.test", context)
                self.assertFalse(resumed)
                for seconds, resumes in ((1800, True), (1700, True), (200, False), (1800, True)):
                    self.clock.advance(seconds)
                    resumed, session = self.visit("aged.test", context, session)
                    self.assertEqual(resumed, resumes, seconds)

    def test_without_a_maximum_age_a_session_ends_after_openssls_own_two_hours(self):
        for version in BOTH_VERSIONS:
            with self.subTest(version):
                context = client_context(version, pki / "good.pem")
                _, session = self.visit("optional.test", context)
                for seconds, resumes in ((7100, True), (200, False)):
                    self.clock.advance(seconds)
                    self.assertEqual(self.visit("optional.test", context, session)[0], resumes, seconds)


if __name__ == "__main__":
    unittest.main()
