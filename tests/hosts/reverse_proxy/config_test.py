#!/usr/bin/env python3
"""The command line and the configuration."""

import json
import subprocess
import unittest

from fixture import ProxyTest, configuration, echo, folder, pki, program, server_names, site, write_configuration


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=30)


def make_ca(name, *extensions):
    """A self-signed certificate with these extensions, which are a CA's where there are none."""
    extensions = extensions or ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
    added = [part for extension in extensions for part in ("-addext", extension)]
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem", "-days", "2", *added)


def make_list(name, ca, *extensions, more=("-crldays", "2")):
    """A revocation list of a CA of `pki`, with these extensions."""
    (folder / "index").write_text("")
    (folder / "openssl.cnf").write_text("\n".join([
        "[ca]", f"database = {folder}/index", "default_md = sha256", "crl_extensions = extensions", "[extensions]",
        *extensions]))
    openssl("ca", "-config", folder / "openssl.cnf", "-name", "ca", "-gencrl", "-keyfile", f"{ca}.key", "-cert",
            f"{ca}.pem", "-out", folder / f"{name}.pem", *more)


class Config(unittest.TestCase):
    def run_program(self, *arguments):
        return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=30)

    def test_help(self):
        result = self.run_program("--help")
        self.assertEqual(result.returncode, 0)
        self.assertIn("--config", result.stdout)

    def test_a_bad_command_line_is_exit_code_2(self):
        for arguments in ([], ["--config"], ["--frobnicate"], ["--config", "a", "b"]):
            with self.subTest(arguments):
                self.assertEqual(self.run_program(*arguments).returncode, 2)

    def test_check_reads_and_stops(self):
        result = self.run_program("--check", "--config", write_configuration(configuration()))
        self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_a_taken_port_is_exit_code_1(self):
        config = configuration()
        config["listeners"][0]["port"] = echo
        result = self.run_program("--config", write_configuration(config))
        self.assertEqual(result.returncode, 1)
        self.assertIn(f"cannot listen on 127.0.0.1:{echo}: Address already in use", result.stderr)

    def test_a_mistake_in_the_configuration_is_named_with_its_place(self):
        def set_to(path, value):
            def change(config):
                *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
                for part in parents:
                    config = config[part]
                if value is None:
                    del config[last]
                else:
                    config[last] = value
            return change

        open_site = {"client_certificate": "off", "upstream": "echo"}
        required = "listeners/0/server_names/required.test"
        (folder / "empty.pem").write_text("")
        secret = "0123456789abcdef" * 5
        (folder / "short.key").write_text(secret[:-1])
        (folder / "long.key").write_text(secret + "\n")
        (folder / "half.pem").write_text((pki / "root.pem").read_text() + (pki / "root.pem").read_text()[:200])
        cases = [
            ("threads", -1, "/threads: must be a whole number from 0 to 1024"),
            ("threads", 1.5, "/threads: must be a whole number"),
            ("thread", 1, "/thread: unknown"),
            ("log", "", "/log: must be a text"),
            ("time_limits/idle_s", 0, "/time_limits/idle_s: must be a whole number from 1"),
            ("time_limits/idle", 1, "/time_limits/idle: unknown"),
            ("upstreams", {}, "/upstreams: must be an object with at least one member"),
            ("upstreams/echo/port", 65536, "/upstreams/echo/port: must be a whole number from 1 to 65535"),
            ("upstreams/echo/address", "localhost", "/upstreams/echo/address: must be an IP address"),
            ("listeners", [], "/listeners: must be a list with at least one element"),
            ("listeners/0/certificate", "none.pem", "/listeners/0: the certificate"),
            ("listeners/0/private_key", "pki/good.key", "/listeners/0: the key"),
            ("listeners/0/server_names", {}, "/listeners/0/server_names: must be an object with at least one"),
            ("listeners/0/server_names/", open_site, "/listeners/0/server_names/: the server name is empty"),
            ("listeners/0/server_names/a..test", open_site, "/a..test: the server name has an empty label"),
            ("listeners/0/server_names/a.*.test", open_site, "the server name has a byte in it that no host name has"),
            ("listeners/0/server_names/**", open_site, "the server name has a byte in it that no host name has"),
            ("listeners/0/server_names/10.0.0.1", open_site, "the server name is an IP address"),
            ("listeners/0/server_names/" + "a" * 256, open_site, "the server name is longer than 255 bytes"),
            ("listeners/0/server_names/OPEN.test", open_site, "/open.test: the name has a policy already"),
            ("listeners/0/server_names/open.test.", open_site, "/open.test.: the name has a policy already"),
            ("listeners/0/server_names/*", {}, "/listeners/0/server_names/*: \"client_certificate\" is missing"),
            ("listeners/0/server_names/*.a.test", {}, "/server_names/*.a.test: \"client_certificate\" is missing"),
            ("listeners/0/ticket_key_file", "none.key", "/listeners/0/ticket_key_file: "),
            ("listeners/0/ticket_key_file", "none.key", "none.key cannot be read"),
            ("listeners/0/ticket_key_file", "pki", "pki cannot be read"),
            ("listeners/0/ticket_key_file", "short.key", "short.key must have exactly 80 bytes"),
            ("listeners/0/ticket_key_file", "long.key", "long.key must have exactly 80 bytes"),
            ("listeners/0/ticket_key_file", "empty.pem", "empty.pem must have exactly 80 bytes"),
            ("listeners/0/ticket_key_file", 80, "/listeners/0/ticket_key_file: must be a text"),
            (required + "/client_certificate", None, f"/{required}: \"client_certificate\" is missing"),
            (required + "/client_certificate", "on", "must be \"off\", \"optional\" or \"required\""),
            (required + "/client_certificate", "off", f"/{required}/ca_file: means nothing where client_certificate is \"off\""),
            (required + "/refuse", "politely", f"/{required}/refuse: must be \"handshake\" or \"request\""),
            ("listeners/0/server_names/optional.test/refuse", "handshake",
             "/optional.test/refuse: means nothing unless client_certificate is \"required\""),
            ("listeners/0/server_names/open.test/refuse", "request", "/open.test/refuse: means nothing unless"),
            (required + "/session_reuse", "no", f"/{required}/session_reuse: must be true or false"),
            (required + "/upstream", "nowhere", f"/{required}/upstream: there is no upstream of this name"),
            ("listeners/0/server_names/open.test/ca_file", "pki/root.pem", "/ca_file: means nothing where"),
            (required + "/ca_file", None, f"/{required}: \"ca_file\" is missing"),
            (required + "/ca_file", "none.pem", "none.pem: it cannot be read: No such file or directory"),
            (required + "/ca_file", "pki", "pki: it cannot be read: Is a directory"),
            (required + "/ca_file", "empty.pem", "empty.pem: there is no certificate in it"),
            (required + "/ca_file", "half.pem", "half.pem:12: it has a block without an END line"),
            (required + "/ca_file", "pki/root.key", "root.key:1: it has a private key"),
            (required + "/ca_file", "pki/intermediate.pem", 
             f"/{required}/ca_file: {pki / 'intermediate.pem'}: certificate 1 (subject CN=Client Intermediate): no chain "
             "can use it: it is not self-signed"),
            (required + "/crl_file", "none.pem", f"/{required}/crl_file: {folder / 'none.pem'}: it cannot be read: No such"),
            (required + "/crl_file", "pki/root.pem", "root.pem:1: it has a certificate, and revocation lists (X509 CRL) are wanted"),
            (required + "/crl_file", "empty.pem", "empty.pem: there is no revocation list in it"),
            (required + "/hint_file", "none.pem", f"/{required}/hint_file: {folder / 'none.pem'}: it cannot be read: No such"),
            (required + "/hint_file", "empty.pem", "empty.pem: there is no certificate in it"),
            (required + "/depth", -1, f"/{required}/depth: must be a whole number from 0 to 99"),
            (required + "/depth", 100, f"/{required}/depth: must be a whole number from 0 to 99"),
            (required + "/max_age_s", 0, f"/{required}/max_age_s: must be a whole number from 1 to 2147483647"),
            (required + "/max_age_s", 1 << 31, f"/{required}/max_age_s: must be a whole number from 1 to 2147483647"),
            (required + "/tickets", 0, f"/{required}/tickets: must be a whole number from 1 to 16"),
            (required + "/tickets", 17, f"/{required}/tickets: must be a whole number from 1 to 16"),
            (required + "/ticket", 1, f"/{required}/ticket: unknown"),
            (required + "/partial_chain", 1, f"/{required}/partial_chain: must be true or false"),
            (required + "/purpose", "server", f"/{required}/purpose: must be \"client\" or \"client_or_server\""),
            (required + "/expired_tolerance_s", -1, f"/{required}/expired_tolerance_s: must be a whole number from 0 to"),
            (required + "/security_level", 6, f"/{required}/security_level: must be a whole number from 0 to 5"),
            (required + "/max_chain_bytes", 0, f"/{required}/max_chain_bytes: must be a whole number from 1 to 60000"),
            (required + "/max_chain_certificates", 101, "/max_chain_certificates: must be a whole number from 1 to 100"),
            (required + "/max_carried_bytes", 60001, "/max_carried_bytes: must be a whole number from 0 to 60000"),
            (required + "/resume_without_certificate", False,
             "/resume_without_certificate: means nothing unless client_certificate is \"optional\""),
            (required + "/hint_file", True, f"/{required}/hint_file: must be a text"),
            (required + "/intermediate_file", "empty.pem",
             f"/{required}/intermediate_file: {folder / 'empty.pem'}: there is no certificate in it"),
            ("listeners/0/server_names/private.test/resume_without_certificate", True,
             "/resume_without_certificate: means nothing where session_reuse is false"),
            ("listeners/0/server_names/private.test/max_carried_bytes", 1,
             "/max_carried_bytes: means nothing where session_reuse is false"),
            ("listeners/0/server_names/open.test/purpose", "client", "/open.test/purpose: means nothing where"),
            ("listeners/0/server_names/private.test/max_age_s", 60, "/max_age_s: means nothing where session_reuse is"),
            ("listeners/0/server_names/private.test/tickets", 1, "/tickets: means nothing where session_reuse is false"),
            ("listeners/0/server_names/open.test/crl_file", "pki/crls.pem", "/crl_file: means nothing where"),
            ("listeners/0/server_names/open.test/hint_file", "pki/root.pem", "/hint_file: means nothing where"),
            ("listeners/0/server_names/open.test/depth", 1, "/depth: means nothing where"),
            ("listeners/0/server_names/open.test/max_age_s", 1, "/max_age_s: means nothing where"),
            ("listeners/0/server_names/open.test/forward_client_certificate", True, "there is nothing to forward"),
        ]
        for path, value, message in cases:
            with self.subTest(path=path, value=value):
                config = configuration()
                set_to(path, value)(config)
                for check in (["--check"], []):
                    result = self.run_program("--config", write_configuration(config), *check)
                    self.assertEqual(result.returncode, 2, result.stderr)
                    self.assertIn(message, result.stderr)
                    self.assertEqual(result.stderr.count("\n"), 1)
                    self.assertIn(str(folder / "proxy.json"), result.stderr)
                    self.assertNotIn("0123", result.stderr)

    def test_a_file_that_makes_no_policy_is_named_with_the_certificate_or_list(self):
        make_ca("no_ca", "basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature",
                "extendedKeyUsage=serverAuth")
        make_ca("no_lists", "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign")
        make_ca("twin", "basicConstraints=critical,CA:TRUE", "subjectKeyIdentifier=none")
        first = (folder / "twin.pem").read_text()
        make_ca("twin", "basicConstraints=critical,CA:TRUE", "subjectKeyIdentifier=none")
        (folder / "twins.pem").write_text((pki / "root.pem").read_text() + first + (folder / "twin.pem").read_text())
        make_list("delta", pki / "root", "crlNumber = DER:020102", "2.5.29.27 = critical,DER:020101")
        make_list("reasons", pki / "root", "issuingDistributionPoint = critical,@point", "[point]",
                  "onlysomereasons = keyCompromise")
        make_list("other", pki / "unknown_root")
        good = (pki / "root.crl").read_text()
        (folder / "delta.pem").write_text(good + (folder / "delta.pem").read_text())
        root = (pki / "root.pem").read_text()
        for name in ("no_ca", "no_lists"):
            (folder / f"{name}.pem").write_text(root + (folder / f"{name}.pem").read_text())
        cases = [
            ({"ca_file": "no_ca.pem"}, "ca_file", "no_ca.pem: certificate 2 (subject CN=no_ca): it is not for client"),
            ({"ca_file": "twins.pem"}, "ca_file",
             "twins.pem: certificate 3 (subject CN=twin): two have one name and no key identifiers to tell them apart; "
             "the earlier one is certificate 2 (subject CN=twin)"),
            ({"crl_file": "delta.pem"}, "crl_file",
             "delta.pem: list 2 (issuer CN=Client CA): it is not whole: a delta list"),
            ({"crl_file": "reasons.pem"}, "crl_file",
             "reasons.pem: list 1 (issuer CN=Client CA): it is not whole: a list for some reasons only"),
            ({"crl_file": "pki/root.crl", "ca_file": "no_lists.pem"}, "ca_file",
             "no_lists.pem: certificate 2 (subject CN=no_lists): it may not sign revocation lists"),
            ({"crl_file": "other.pem"}, "ca_file", "root.pem: certificate 1 (subject CN=Client CA): it issued none of the"),
            ({"ca_file": "pki/good.pem", "partial_chain": True}, "ca_file",
             "good.pem: certificate 1 (subject CN=Good Client): it is no CA"),
        ]
        for members, member, message in cases:
            with self.subTest(members):
                config = configuration()
                server_names(config)["required.test"].update(members)
                result = self.run_program("--check", "--config", write_configuration(config))
                self.assertEqual(result.returncode, 2)
                self.assertIn(f"/listeners/0/server_names/required.test/{member}: {folder}/", result.stderr)
                self.assertIn(message, result.stderr)
                self.assertEqual(result.stderr.count("\n"), 1)

    def test_what_time_alone_makes_wrong_is_a_warning_with_its_place(self):
        make_list("ended", pki / "root", more=("-crl_lastupdate", "20200101000000Z", "-crl_nextupdate", "20200102000000Z"))
        config = configuration()
        server_names(config)["required.test"].update(crl_file="ended.pem")
        result = self.run_program("--check", "--config", write_configuration(config))
        self.assertEqual(result.returncode, 0)
        self.assertIn("/listeners/0/server_names/required.test/crl_file: warning: ", result.stderr)
        self.assertIn("ended.pem: list 1 (issuer CN=Client CA): it has ended, so that nobody gets in", result.stderr)

    def test_everything_that_a_name_can_say(self):
        (folder / "ticket.key").write_bytes(bytes(range(80)))
        config = configuration()
        config["listeners"][0]["ticket_key_file"] = "ticket.key"
        names = config["listeners"][0]["server_names"]
        names["all.test"] = site("required", refuse="handshake", crl_file="pki/crls.pem", hint_file="pki/unknown_root.pem",
                                 intermediate_file="pki/intermediate.pem", partial_chain=False,
                                 purpose="client_or_server", expired_tolerance_s=(1 << 31) - 1, security_level=3, depth=99,
                                 max_age_s=(1 << 31) - 1, tickets=16, session_reuse=True, max_chain_bytes=60000,
                                 max_chain_certificates=100, max_carried_bytes=60000)
        names["least.test"] = site("required", refuse="request", hint_file=False, partial_chain=True, purpose="client",
                                   expired_tolerance_s=0, security_level=0, depth=0, max_age_s=1, tickets=1,
                                   max_chain_bytes=1, max_chain_certificates=1, max_carried_bytes=0)
        names["again.test"] = site("optional", resume_without_certificate=False)
        names["open2.test."] = site("off", tickets=1)
        names["*.a.test"] = names["*"] = site("optional")
        result = self.run_program("--check", "--config", write_configuration(config))
        self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_a_file_that_is_not_the_configuration(self):
        cases = [
            ("", "line 1, column 1"),
            ("{\n  \"log\": \"-\",\n}", "line 3, column 1"),
            ("[]", "must be an object"),
            ("{\"log\": \"-\", \"log\": \"-\"}", "the name \"log\" stands twice"),
        ]
        for text, message in cases:
            with self.subTest(text):
                result = self.run_program("--config", write_configuration(text))
                self.assertEqual(result.returncode, 2)
                self.assertIn(message, result.stderr)
        for missing in (folder / "none.json", folder):
            result = self.run_program("--config", missing)
            self.assertEqual(result.returncode, 2)
            self.assertIn(f"{missing}: cannot be read", result.stderr)


class Warnings(ProxyTest):
    def test_a_warning_is_said_at_the_start_and_at_a_reload(self):
        config = configuration()
        server_names(config)["required.test"].update(crl_file="pki/crls.pem")
        before = len(self.proxy.errors)
        self.assertEqual(self.reload(config), "reloaded")
        warnings = self.proxy.errors[before:-1]
        self.assertEqual(len(warnings), 1)
        self.assertIn("/required.test/crl_file: warning: ", warnings[0])
        self.assertIn("list 2 (issuer CN=Client Intermediate): no anchor and no intermediate issued it", warnings[0])


if __name__ == "__main__":
    unittest.main()
