#!/usr/bin/env python3
"""Three proxies that share their ticket key and nothing else."""

import secrets
import shutil
import unittest

from fixture import configuration, fields_of, folder, pki, server_names, start, write_configuration
from support import BOTH_VERSIONS, Client, certificates_of, client_context

KEY = secrets.token_bytes(80)


class Member:
    """A proxy in a folder of its own."""

    def __init__(self, name, ca_files, key=KEY):
        self.home = folder / name
        shutil.copytree(pki, self.home / "pki")
        self.trust(*ca_files)
        self.config = configuration()
        if key:
            (self.home / "ticket.key").write_bytes(key)
            self.config["listeners"][0]["ticket_key_file"] = "ticket.key"
        for name in ("optional.test", "required.test"):
            server_names(self.config)[name]["ca_file"] = "cas.pem"
        self.proxy = start(self.config, self.home)

    def trust(self, *ca_files):
        (self.home / "cas.pem").write_text("".join((pki / f"{file}.pem").read_text() for file in ca_files))

    def reload(self):
        write_configuration(self.config, self.home)
        return self.proxy.reload()


class Fleet(unittest.TestCase):
    def setUp(self):
        # The same set of CAs is the same policy, in whatever order.
        sets = (("root", "server_ca"), ("server_ca", "root"), ("root", "server_ca", "root"))
        self.members = [self.start(f"member{i}", cas) for i, cas in enumerate(sets)]

    def start(self, name, *arguments):
        member = Member(name, *arguments)
        self.addCleanup(lambda: (self.assertEqual(member.proxy.stop(), 0, member.proxy.errors),
                                 shutil.rmtree(member.home)))
        return member

    def visit(self, member, name, context, session=None):
        """What it came to: resumed, status, Client-Cert and Client-Cert-Chain, verdict; and the session."""
        with Client(member.proxy.port, name, context, session) as client:
            response = client.get()
            line = member.proxy.next_log()
            self.assertEqual(line["resumed"], client.socket.session_reused)
            fields = ([], []) if response.status != 200 else (fields_of(response, "Client-Cert"),
                                                              fields_of(response, "Client-Cert-Chain"))
            got = client.socket.session_reused, response.status, *fields, line["request"]["tls"]["client_verify"]
            return got, client.socket.session

    def test_a_client_that_proved_itself_at_one_resumes_at_the_others(self):
        leaf, intermediate = (f":{certificate}:" for certificate in certificates_of(pki / "good.pem"))
        proven = 200, [leaf], [intermediate], "SUCCESS"
        for version in BOTH_VERSIONS:
            for name in ("optional.test", "required.test"):
                with self.subTest(version=version, name=name):
                    context = client_context(version, pki / "good.pem")
                    got, session = self.visit(self.members[0], name, context)
                    self.assertEqual(got, (False, *proven))
                    for member in self.members[1:] + self.members:  # each with the session that the last one gave
                        got, session = self.visit(member, name, context, session)
                        self.assertEqual(got, (True, *proven))

    def test_the_verdict_goes_along_where_it_is_not_a_good_one(self):
        verdicts = {None: "NONE", "expired": "FAILED:certificate has expired",
                    "stranger": "FAILED:unable to verify the first certificate"}
        for version in BOTH_VERSIONS:
            for certificate, verdict in verdicts.items():
                with self.subTest(version=version, certificate=certificate):
                    context = client_context(version, certificate and pki / f"{certificate}.pem")
                    first, session = self.visit(self.members[0], "optional.test", context)
                    self.assertEqual(first, (False, 200, [], [], verdict))
                    second, _ = self.visit(self.members[1], "optional.test", context, session)
                    self.assertEqual(second, (certificate != "expired", 200, [], [], verdict))
                    third, _ = self.visit(self.members[2], "required.test", context, session)
                    self.assertEqual(third[:2], (False, 403))

    def test_where_the_ca_has_been_replaced_it_does_not_resume(self):
        changed = self.members[1]
        for version in BOTH_VERSIONS:
            with self.subTest(version):
                changed.trust("root", "server_ca")
                self.assertEqual(changed.reload(), "reloaded")
                context = client_context(version, pki / "good.pem")
                _, session = self.visit(self.members[0], "optional.test", context)
                self.assertTrue(self.visit(changed, "optional.test", context, session)[0][0])
                changed.trust("unknown_root", "server_ca")
                self.assertEqual(changed.reload(), "reloaded")
                got, unproven = self.visit(changed, "optional.test", context, session)
                self.assertEqual(got, (False, 200, [], [], "FAILED:unable to get local issuer certificate"))
                self.assertEqual(self.visit(changed, "required.test", context, session)[0][:2], (False, 403))
                self.assertTrue(self.visit(self.members[2], "optional.test", context, session)[0][0])
                # Nor does what it made resume where the old CA is still trusted.
                got, _ = self.visit(self.members[2], "optional.test", context, unproven)
                self.assertEqual((got[0], got[-1]), (False, "SUCCESS"))

    def test_a_proxy_with_another_key_is_no_member(self):
        for number, key in enumerate((secrets.token_bytes(80), None)):
            outsider = self.start(f"outsider{number}", ("root", "server_ca"), key)
            for version in BOTH_VERSIONS:
                with self.subTest(version=version, key=key is not None):
                    context = client_context(version, pki / "good.pem")
                    _, session = self.visit(self.members[0], "optional.test", context)
                    got, _ = self.visit(outsider, "optional.test", context, session)
                    self.assertEqual((got[0], got[-1]), (False, "SUCCESS"))


if __name__ == "__main__":
    unittest.main()
