"""Makes the cassettes of tests/scenarios.py anew; see scripts/record."""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

import attrs
from scenarios import FULL_AGENT, NO_WAITING, SCENARIOS, SPARSE_AGENT, Duplicate, Scenario, play

from millis_wrapper import Millis, __version__
from millis_wrapper.mock import MockMillis

from .filters import REAL_HOST, answer_filter, request_filter

ROOT = Path(__file__).parent.parent.parent
CASSETTES = ROOT / "tests" / "cassettes"
FULL_EXAMPLE = ROOT / "openapi" / "examples" / "agent-full.json"

# The mock's part of it, the same in each recording.
MOMENT = 1_763_640_000.0
COPY = "-the-copy-that-came-"
REPLIES = ("Good evening! How can I help?", "Tomorrow at eight, then.", "Good bye!")


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/record", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="SCENARIO", help="which cassettes (default: all)")
    parser.add_argument(
        "--live", action="store_true", help="from the live service, with MILLIS_API_KEY and MILLIS_AGENT_ID"
    )
    parser.add_argument("--into", type=Path, default=CASSETTES, metavar="FOLDER", help="where to write them")
    parser.add_argument("--make-a-copy", action="store_true", help="with --live: duplicate the agent, too")
    arguments = parser.parse_args()
    names: list[str] = arguments.names or [scenario.name for scenario in SCENARIOS]
    if unknown := set(names) - {scenario.name for scenario in SCENARIOS}:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    scenarios = [scenario for scenario in SCENARIOS if scenario.name in names]
    if arguments.live:
        return _record_live(scenarios, arguments.into, make_a_copy=arguments.make_a_copy)
    _record_mock(scenarios, arguments.into)
    return 0


def _record_mock(scenarios: list[Scenario], folder: Path) -> None:
    full: dict[str, Any] = json.loads(FULL_EXAMPLE.read_text())["config"]
    with MockMillis(retry_after=0, clock=lambda: MOMENT, new_id=lambda: COPY) as mock:
        for scenario in scenarios:
            mock.reset()
            mock.add_agent(FULL_AGENT, name="Full", config=full)
            mock.add_agent(SPARSE_AGENT, name="Sparse", config={})
            mock.reply_with(*REPLIES)
            with Millis("recording", base_url=mock.url, max_retries=NO_WAITING) as millis:
                _record(scenario, millis, mock.url, folder)


def _record_live(scenarios: list[Scenario], folder: Path, *, make_a_copy: bool) -> int:
    agent_id = os.environ.get("MILLIS_AGENT_ID", "").strip()
    if not agent_id:
        print("scripts/record: --live needs MILLIS_AGENT_ID: the id of an agent to talk to", file=sys.stderr)
        return 2
    # MILLIS_BASE_URL is for a rehearsal; whatever the host, the cassettes say the real one.
    host = os.environ.get("MILLIS_BASE_URL", REAL_HOST)
    with Millis(base_url=host, max_retries=NO_WAITING) as millis:
        for scenario in scenarios:
            copies = isinstance(scenario.call, Duplicate)
            if not scenario.live or (copies and not make_a_copy):
                why = (
                    "it makes a copy; say --make-a-copy"
                    if scenario.live
                    else "the live service cannot be told to"
                )
                print(f"{scenario.name}: left as it is ({why})")
            else:
                _record(scenario, millis, host, folder, live_id=agent_id)
    print("Read the diff before you commit it: a filter knows only the secrets that its author thought of.")
    return 0


def _record(
    scenario: Scenario, millis: Millis, url: str, folder: Path, *, live_id: str | None = None
) -> None:
    live = live_id is not None
    path = folder / f"{scenario.name}.yaml"
    path.unlink(missing_ok=True)
    vcr: Any = import_module("vcr")  # which has no types
    recorder = vcr.VCR(
        before_record_request=request_filter(url, live=live),
        before_record_response=answer_filter(live=live),
    )
    with recorder.use_cassette(str(path)):
        result = play(attrs.evolve(scenario, agent_id=live_id or scenario.agent_id), millis)
    source = f"live service by scripts/record --live, {date.today()}" if live else "mock by scripts/record"
    text = path.read_text()
    if live_id is not None:
        text = text.replace(live_id, scenario.agent_id)
    path.write_text(f"# Recorded from the {source} (millis-wrapper {__version__}).\n{text}")
    print(f"{scenario.name}: {type(result).__name__}")


if __name__ == "__main__":
    sys.exit(main())
