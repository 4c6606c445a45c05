#!/usr/bin/env python3
"""Who is asked, what the upstream and the log are told, and who may resume."""

import json
import ssl
import unittest

from fixture import ProxyTest, fields_of, pki
from support import BOTH_VERSIONS, Client, certificates_of, client_context


class ClientCertificates(ProxyTest):
    def test_each_mode_with_each_certificate(self):
        expired, unknown = "FAILED:certificate has expired", "FAILED:unable to verify the first certificate"
        none_given = "FAILED:no certificate where one is required"
        expected = {
            ("open.test", None): (200, "NONE", 0),
            ("open.test", "good"): (200, "NONE", 0),
            ("optional.test", None): (200, "NONE", 0),
            ("optional.test", "good"): (200, "SUCCESS", 1),
            ("optional.test", "expired"): (200, expired, 0),
            ("optional.test", "stranger"): (200, unknown, 0),
            ("required.test", None): (403, none_given, 0),
            ("required.test", "good"): (200, "SUCCESS", 1),
            ("required.test", "expired"): (403, expired, 0),
            ("required.test", "stranger"): (403, unknown, 0),
            ("private.test", "good"): (200, "SUCCESS", 0),
        }
        for version in BOTH_VERSIONS:
            for (name, certificate), (status, client_verify, forwarded) in expected.items():
                with self.subTest(version=version, name=name, certificate=certificate):
                    file = certificate and pki / f"{certificate}.pem"
                    client = self.connect(name, client_context(version, file))
                    response = client.get()
                    self.assertEqual(response.status, status, response.content)
                    if status == 200:
                        self.assertEqual(len(fields_of(response, "Client-Cert")), forwarded)
                        self.assertEqual(len(fields_of(response, "Client-Cert-Chain")), forwarded)
                    line = self.proxy.next_log()
                    self.assertEqual(line["request"]["tls"]["client_verify"], client_verify)
                    self.assertEqual(line["request"]["tls"]["version"], client.socket.version())
                    self.assertEqual(line["request"]["tls"]["cipher"], client.socket.cipher()[0])
                    self.assertEqual(line["status"], status)
                    self.assertEqual(line["server_name"], name)

    def test_the_chain_is_forwarded_the_same_on_a_resumed_connection(self):
        leaf, intermediate = certificates_of(pki / "good.pem")
        for version in BOTH_VERSIONS:
            with self.subTest(version=version):
                context, session = client_context(version, pki / "good.pem"), None
                for resumed in (False, True, True):
                    client = self.connect("optional.test", context, session)
                    response = client.get()
                    self.assertEqual(client.socket.session_reused, resumed)
                    self.assertEqual(fields_of(response, "Client-Cert"), [f":{leaf}:"])
                    self.assertEqual(fields_of(response, "Client-Cert-Chain"), [f":{intermediate}:"])
                    line = self.proxy.next_log()
                    self.assertEqual(line["resumed"], resumed)
                    self.assertEqual(line["request"]["tls"]["client_verify"], "SUCCESS")
                    session = client.socket.session

    def test_a_session_without_a_certificate_resumes_as_none(self):
        for version in BOTH_VERSIONS:
            with self.subTest(version=version):
                context, session = client_context(version), None
                for resumed in (False, True):
                    client = self.connect("optional.test", context, session)
                    response = client.get()
                    self.assertEqual(client.socket.session_reused, resumed)
                    self.assertEqual(fields_of(response, "Client-Cert"), [])
                    self.assertEqual(self.proxy.next_log()["request"]["tls"]["client_verify"], "NONE")
                    session = client.socket.session

    def test_a_session_stays_with_its_server_name(self):
        for version in BOTH_VERSIONS:
            for made, offered in (("open.test", "required.test"), ("optional.test", "required.test"),
                                  ("required.test", "open.test"), ("required.test", "optional.test")):
                with self.subTest(version=version, made=made, offered=offered):
                    context = client_context(version, pki / "good.pem")
                    first = self.connect(made, context)
                    first.get()
                    second = self.connect(offered, context, first.socket.session)
                    response = second.get()
                    self.assertFalse(second.socket.session_reused)
                    self.assertEqual(response.status, 200)  # it was asked anew, where it is asked
                    client_verify = self.proxy.next_log(2)[1]["request"]["tls"]["client_verify"]
                    self.assertEqual(client_verify, "NONE" if offered == "open.test" else "SUCCESS")

    def test_no_session_where_reuse_is_disabled(self):
        for version in BOTH_VERSIONS:
            with self.subTest(version=version):
                context = client_context(version, pki / "good.pem")
                first = self.connect("private.test", context)
                first.get()
                session = first.socket.session
                self.assertFalse(session and session.has_ticket)
                second = self.connect("private.test", context, session)
                second.get()
                self.assertFalse(second.socket.session_reused)

    def test_a_handshake_that_fails_has_its_line_in_the_log(self):
        for name, alpn in (("unknown.test", None), (None, None), ("open.test", ["h2"])):
            with self.subTest(name=name, alpn=alpn):
                with self.assertRaises(ssl.SSLError):
                    self.connect(name, client_context(alpn=alpn))
                line = self.proxy.next_log()
                self.assertTrue(line["error"].startswith("handshake: "), line)
                self.assertEqual(line["server_name"], name)
                no_policy = "handshake: there is no policy for the server name"
                self.assertEqual(line["error"] == no_policy, alpn is None, line)
        client = self.connect("open.test", client_context(alpn=["h2", "http/1.1"]))
        self.assertEqual(client.socket.selected_alpn_protocol(), "http/1.1")


if __name__ == "__main__":
    unittest.main()
