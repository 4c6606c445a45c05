#!/usr/bin/env python3
"""The command line and the configuration."""

import json
import subprocess
import unittest

from fixture import configuration, echo, folder, pki, program, write_configuration


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

        site = "listeners/0/server_names/required.test"
        (folder / "empty.pem").write_text("")
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
            ("listeners/0/server_names/", {}, "/listeners/0/server_names/: is no server name"),
            ("listeners/0/server_names/a.test.", {}, "is no server name"),
            ("listeners/0/server_names/*.test", {}, "is no server name"),
            ("listeners/0/server_names/OPEN.test", {"client_certificate": "off", "upstream": "echo"},
             "this server name is there already"),
            (site + "/client_certificate", None, f"/{site}: \"client_certificate\" is missing"),
            (site + "/client_certificate", "on", "must be \"off\", \"optional\" or \"required\""),
            (site + "/client_certificate", "off", "there is nothing to forward where client_certificate is \"off\""),
            (site + "/session_reuse", "no", f"/{site}/session_reuse: must be true or false"),
            (site + "/upstream", "nowhere", f"/{site}/upstream: there is no upstream of this name"),
            ("listeners/0/server_names/open.test/ca_file", "pki/root.pem", "/ca_file: means nothing where"),
            (site + "/ca_file", None, f"/{site}: \"ca_file\" is missing"),
            (site + "/ca_file", "none.pem", "none.pem cannot be read: no such file"),
            (site + "/ca_file", "empty.pem", "empty.pem has no certificate in it"),
            (site + "/ca_file", "half.pem", "half.pem has something that is not a certificate"),
            (site + "/ca_file", "pki/root.key", "root.key has no certificate in it"),
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


if __name__ == "__main__":
    unittest.main()
