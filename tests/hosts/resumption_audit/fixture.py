"""What the tests of resumption_audit share: each is called with the audit, the holey server and the reverse proxy."""

import json
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support import Program, make_pki, temporary_folder

audit_program, holey_server, reverse_proxy = (pathlib.Path(sys.argv.pop(1)).resolve() for _ in range(3))
MECHANISMS = ("1.2 session id", "1.2 ticket", "1.3 ticket")
OUTCOMES = {"hole", "identity_carried", "refused", "full", "own_name", "same_policy", "nothing_carried",
            "not_resumable", "no_session", "unreachable", "timed_out", "garbled"}

_outermost = unittest.TestCase()
unittest.addModuleCleanup(_outermost.doCleanups)
folder = pathlib.Path(_outermost.enterContext(temporary_folder()))
pki = folder / "pki"
make_pki(pki, "open.test", "ask.test", "require.test", "forbid.test", "other.test")
GOOD, STRANGER = (f"{pki}/{name}.pem:{pki}/{name}.key" for name in ("good", "stranger"))


def arguments_for(port, names, *certificates):
    arguments = ["--connect", f"127.0.0.1:{port}"]
    for name in names:
        arguments += ["--name", name]
    for certificate in certificates:
        arguments += ["--certificate", certificate]
    return arguments


def run(*arguments):
    return subprocess.run([audit_program, *map(str, arguments)], capture_output=True, text=True, timeout=200)


class Report:
    """The JSON of an audit."""

    def __init__(self, result):
        self.exit_code, self.stderr = result.returncode, result.stderr
        self.json = json.loads(result.stdout)
        self.pairs = {(p["certificate"], p["made_under"], p["offered_under"], p["mechanism"]): p
                      for p in self.json["pairs"]}
        self.new_clients = {(v["certificate"], v["name"], v["tls"]): v for v in self.json["new_clients"]}

    def outcome(self, *key):
        return self.pairs[key]["outcome"]

    def outcomes(self):
        return {pair["outcome"] for pair in self.json["pairs"]}


class AuditTest(unittest.TestCase):
    def start_holey_server(self, *options, **policies):
        """Its port. A policy's name is that of the server name without ".test"."""
        named = [f"{name}.test={policy}" for name, policy in policies.items()]
        server = Program([holey_server, *options, pki / "server.pem", pki / "server.key", *named], folder / "no.log")
        self.addCleanup(server.stop)
        return int(server.errors[0].rsplit(":", 1)[1])

    def audit(self, port, names, *certificates, more=()):
        report = Report(run("--json", *arguments_for(port, names, *certificates), *more))
        self.check_everything_is_classified(report, names, certificates, more)
        return report

    def check_everything_is_classified(self, report, names, certificates, more):
        mechanisms = [m for m in MECHANISMS if "--tls" not in more or m.startswith(more[more.index("--tls") + 1])]
        self.assertEqual(len(report.json["pairs"]), len(report.pairs))
        self.assertEqual(len(report.pairs), len(names) ** 2 * (len(certificates) + 1) * len(mechanisms))
        self.assertLessEqual(report.outcomes(), OUTCOMES)
        self.assertEqual(set(report.json["counts"]), OUTCOMES)
        self.assertEqual(sum(report.json["counts"].values()), len(report.pairs))
        found, unanswered = {"hole", "identity_carried"}, {"unreachable", "timed_out", "garbled"}
        nobody = all(visit["ending"]["text"] in ("closed", "alert 40") for visit in report.json["new_clients"])
        expected = 1 if report.outcomes() & found else 3 if nobody or report.outcomes() & unanswered else 0
        self.assertEqual(report.exit_code, expected, report.stderr)
