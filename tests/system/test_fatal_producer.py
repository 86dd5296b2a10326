"""The producer of a shard fails on a real broker: waiting clients get 503, the shard goes on."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter

from support import box
from support.broker import _die_with_parent
from support.kafka_log import read_topic
from support.programs import BIN


def test_a_failed_producer_is_replaced(own_kafka, tmp_path, report) -> None:
    prefix = f"drill.{os.urandom(3).hex()}."
    log = (tmp_path / "drill.log").open("wb")
    drill = subprocess.Popen(
        [str(BIN.parent / "tests" / "fatal_drill"), own_kafka.bootstrap, prefix],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        preexec_fn=_die_with_parent,
    )
    try:
        assert drill.stdout.readline() == "stop the broker\n", (tmp_path / "drill.log").read_text()
        own_kafka.pause()
        drill.stdin.write("\n")
        drill.stdin.flush()
        assert drill.stdout.readline() == "start the broker\n", (tmp_path / "drill.log").read_text()
        own_kafka.resume()
        own_kafka.wait_ready()
        drill.stdin.write("\n")
        drill.stdin.flush()
        told = json.loads(drill.stdout.readline())
        assert drill.wait(20) == 0
    finally:
        drill.kill()
        drill.wait()
    taken = told.pop("taken")
    report(str(told))
    assert told["before"] == 50
    assert told["busy"] == 50 and told["busy_other"] == 0
    assert told["stuck_refused"] == 50
    assert told["busy_answered"] <= 1.0 and told["stuck_answered"] <= 1.0
    assert told["busy_again"] <= 5.0 and told["stuck_again"] <= 5.0
    assert told["rebuilds"] == 2
    # Every 202 is in the log, once. What got a 503 may be there too: its sender sends it again.
    records = read_topic(own_kafka.bootstrap, prefix + "events")
    found = Counter(box.provider_id(record.value) for record in records)
    assert all(found[name] == 1 for name in taken), [n for n in taken if found[n] != 1]
