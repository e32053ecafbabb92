"""`make conformance`: the official MCP conformance suite against the fixture server, for both revisions we promise.

Whatever does not pass has to be in `expected.toml` with its reason, and whatever is in there must not pass. The suite is a Node
program; it and its Node are installed into `.cache/conformance` on first use, which needs npm and its registry.
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REVISIONS = ("2025-11-25", "2026-07-28")
PACKAGES = ("node@22", "@modelcontextprotocol/conformance@0.2.0-alpha.12")
ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "conformance"
SUITE = CACHE / "node_modules" / "@modelcontextprotocol" / "conformance"
EXPECTED = Path(__file__).with_name("expected.toml")
INSTALL_SECONDS = 300
START_SECONDS = 60
RUN_SECONDS = 300
MINIMUM = 25
"""Fewer required scenarios than this mean that their list was not understood."""

_RESULT = re.compile(r"server-(?P<scenario>.+)-\d{4}-\d\d-\d\dT[\d-]+Z")
_REQUIRED = re.compile(r"^server:\n((?:  - .+\n|\n)+)", re.MULTILINE)


class NotInstalledError(Exception):
    """The suite is not here and cannot be fetched."""


@dataclass(frozen=True)
class Outcome:
    """What came of one scenario.

    :param statuses: How many of its checks ended how: `SUCCESS`, `FAILURE`, `WARNING`, `SKIPPED`, `INFO`.
    :param complaints: What the checks that did not succeed said.
    """

    statuses: Mapping[str, int]
    complaints: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """`passed` only if something was looked at and nothing was found; a warning counts as a failure."""
        if self.statuses.get("FAILURE") or self.statuses.get("WARNING"):
            return "failed"
        return "passed" if self.statuses.get("SUCCESS") else "skipped"


Outcomes = Mapping[str, Mapping[str, Outcome]]
"""Revision → scenario → what came of it."""


def install() -> None:
    """Have the suite in the cache.

    :raises NotInstalledError: there is no npm, or it cannot fetch the packages.
    """
    marker = CACHE / "installed"
    wanted = "\n".join(PACKAGES)
    if marker.exists() and marker.read_text() == wanted:
        return
    npm = shutil.which("npm")
    if npm is None:
        raise NotInstalledError("There is no npm. On Debian: apt-get install npm.")
    CACHE.mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(CACHE), *PACKAGES]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        raise NotInstalledError(f"npm took more than {INSTALL_SECONDS} s.") from None
    except subprocess.CalledProcessError as error:
        raise NotInstalledError(f"npm cannot install the suite: {error.stderr.strip()}") from None
    marker.write_text(wanted)


@contextmanager
def fixture_server() -> Generator[str]:
    """The fixture server in a process of its own, as long as the block runs; yields the address of its MCP endpoint."""
    CACHE.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.conformance.server", "0"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as process:
        address: queue.Queue[str | None] = queue.Queue()
        reader = threading.Thread(target=_read_log, args=(process, address))
        reader.start()
        try:
            found = address.get(timeout=START_SECONDS)
            if found is None:
                raise RuntimeError(f"The fixture server did not start: {CACHE / 'server.log'} says why.")
            yield f"{found}/mcp"
        finally:
            process.terminate()
            process.wait(START_SECONDS)
            reader.join()


def _read_log(process: subprocess.Popen[str], address: queue.Queue[str | None]) -> None:
    """Keep the log of the server, and pass on the address it names; `None` when it ends."""
    assert process.stderr is not None
    with (CACHE / "server.log").open("w") as log:
        for line in process.stderr:
            log.write(line)
            if named := re.search(r"listening on (http://\S+)", line):
                address.put(named[1])
    address.put(None)


def examine(revision: str, url: str) -> dict[str, Outcome]:
    """Run every scenario of a revision against the server at `url`.

    :raises RuntimeError: the suite left out a scenario the revision requires.
    """
    found = CACHE / f"results-{revision}"
    shutil.rmtree(found, ignore_errors=True)
    binaries = CACHE / "node_modules" / ".bin"
    done = subprocess.run(
        [binaries / "conformance", "server", "--url", url, "--requirements", revision, "-o", found],
        env={**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,  # it fails when anything does, wanted or not
    )
    outcomes = {
        match["scenario"]: _outcome(folder) for folder in found.glob("*") if (match := _RESULT.fullmatch(folder.name))
    }
    left_out = required(revision) - outcomes.keys()
    if left_out:
        raise RuntimeError(f"The suite did not run {sorted(left_out)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return outcomes


def required(revision: str) -> set[str]:
    """The scenarios a server has to pass to conform to `revision`, by the list that comes with the suite."""
    block = _REQUIRED.search((SUITE / "requirements" / f"{revision}.yaml").read_text())
    names = set(re.findall(r"  - (\S+)", block[1])) if block else set()
    if len(names) < MINIMUM:
        raise RuntimeError(f"Only {len(names)} required scenarios are listed for {revision}; the list is read wrongly.")
    return names


def _outcome(folder: Path) -> Outcome:
    checks = json.loads((folder / "checks.json").read_text())
    bad = [check for check in checks if check["status"] in ("FAILURE", "WARNING")]
    return Outcome(
        Counter(check["status"] for check in checks),
        tuple(f"{check['id']}: {check.get('errorMessage', check['status'])}" for check in bad),
    )


def surprises(outcomes: Outcomes, expected: Mapping[str, Mapping[str, str]]) -> list[str]:
    """What is not as `expected` (revision → scenario → reason) says: one sentence each."""
    found: list[str] = []
    for revision, scenarios in outcomes.items():
        excused = expected.get(revision, {})
        for scenario, outcome in sorted(scenarios.items()):
            if outcome.verdict == "passed" and scenario in excused:
                found.append(f"{revision} {scenario} passes: take it out of {EXPECTED.name}.")
            elif outcome.verdict != "passed" and scenario not in excused:
                found += [
                    f"{revision} {scenario} {outcome.verdict}: {why}"
                    for why in outcome.complaints or ("no check succeeded",)
                ]
        found += [
            f"{revision} {name} is excused but does not exist." for name in sorted(excused.keys() - scenarios.keys())
        ]
    return found


def run() -> Outcomes:
    """Install what is needed and run both revisions."""
    install()
    with fixture_server() as url:
        return {revision: examine(revision, url) for revision in REVISIONS}


def expectations() -> dict[str, dict[str, str]]:
    """Revision → scenario → why it does not pass."""
    with EXPECTED.open("rb") as file:
        return tomllib.load(file)


def table(outcomes: Outcomes) -> str:
    """The outcomes as a table, one line a scenario, and the totals."""
    lines: list[str] = []
    for revision, scenarios in outcomes.items():
        scored = required(revision)
        for scenario, outcome in sorted(scenarios.items()):
            checks = f"{outcome.statuses.get('SUCCESS', 0)}/{sum(outcome.statuses.values())}"
            lines.append(
                f"{revision}  {scenario:48}{outcome.verdict:9}{checks:>7}{'' if scenario in scored else '  optional'}"
            )
        passed = sum(scenarios[name].verdict == "passed" for name in scored)
        lines.append(
            f"{revision}  {passed} of {len(scored)} required scenarios pass, and {_optional(scenarios, scored)}\n"
        )
    return "\n".join(lines)


def _optional(scenarios: Mapping[str, Outcome], scored: set[str]) -> str:
    others = [outcome for name, outcome in scenarios.items() if name not in scored]
    return f"{sum(outcome.verdict == 'passed' for outcome in others)} of {len(others)} optional ones."


def main() -> int:
    """Run, print the table, and say what is not as expected.

    :returns: The exit code: 0 when all is as expected, 1 when not, 2 when the suite cannot be run here.
    """
    try:
        outcomes = run()
    except NotInstalledError as error:
        print(f"The conformance suite cannot be run here. {error}", file=sys.stderr)
        return 2
    print(table(outcomes))
    expected = expectations()
    for reason in sorted({reason for excuses in expected.values() for reason in excuses.values()}):
        print(f"Expected: {reason}")
    unexpected = surprises(outcomes, expected)
    print("\n".join(unexpected) or "Nothing unexpected.")
    return 1 if unexpected else 0


if __name__ == "__main__":
    sys.exit(main())
