"""Opinion monitoring: each post counts once, whatever happens; surges are told, and what is wrong with a record is."""

import csv
import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from streams import BEGIN, RULES, SURGE, post, posts, read, shares, watched, write

from lit_react.applications import webhook
from lit_react.applications.monitor_file import connect
from lit_react.applications.monitoring import Monitor
from lit_react.applications.posts import Stream
from lit_react.applications.trends import write_trends
from lit_react.applications.webhook import Webhook
from lit_react.cli import main
from lit_react.core.errors import UserError

HOSTILE = 'bad banks <img src=x onerror="document.title=1"><script>document.title=1</script>'


@pytest.fixture(scope="module")
def surging(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("stream") / "posts.jsonl", posts())


def state_of(monitor: Monitor) -> tuple:
    rows = monitor.file.select("SELECT at, topic, sentiment, text FROM posts ORDER BY id")
    return rows, monitor.alerts(), dict(monitor.tally), monitor.surges


def test_a_surge_is_told_soon_and_only_that(tmp_path, surging):
    monitor = watched(tmp_path / "watch", surging)
    alert, again = monitor.alerts()
    hours = (np.datetime64(alert["period"][:-1]) - np.datetime64(BEGIN.replace(tzinfo=None))) / np.timedelta64(1, "h")
    assert alert["topic"] == "banks"
    assert SURGE <= hours < SURGE + 6
    assert alert["negative"] > 2 * alert["usual"]
    later = np.datetime64(again["period"][:-1]) - np.datetime64(alert["period"][:-1])
    assert 24 <= later / np.timedelta64(1, "h") < 27, "a surge that goes on is told again after a day"
    told = [json.loads(line) for line in (tmp_path / "watch" / "alerts.jsonl").read_text().splitlines()]
    assert told == [alert, again]


def test_a_killed_monitor_goes_on_and_counts_each_post_once(tmp_path, surging):
    calls = 0

    def dies(texts):
        nonlocal calls
        calls += 1
        if calls % 4 == 0:
            raise KeyboardInterrupt
        return read(texts)

    unbroken = watched(tmp_path / "unbroken", surging)
    for _ in range(30):
        try:
            broken = watched(tmp_path / "broken", surging, 97, dies)
            break
        except KeyboardInterrupt:
            continue
    assert calls > 8
    assert state_of(broken) == state_of(unbroken)
    again = broken.place
    broken.close()
    assert watched(tmp_path / "broken", surging).place == again


def test_late_repeated_foreign_and_impossible_posts_are_set_aside_and_told(tmp_path):
    rows = [
        post(0, "good banks", id="1"),
        post(5, "bad banks", id="2"),
        post(5, "another text", id="2"),
        post(5.1, "bad banks", id="3"),
        post(3, "too late"),
        post(5.2, "漢"),
        {"time": "2090-01-01", "text": "of the future"},
        post(90 * 24, "of a wrong clock"),
        post(6, "good shops"),
    ]
    monitor = watched(tmp_path / "watch", write(tmp_path / "posts.jsonl", rows))
    expected = {"counted": 4, "repeated": 1, "late": 1, "foreign": 1, "ahead of the clock": 1}
    assert dict(monitor.tally) == {"records": 9, "far ahead of the others": 1, **expected}
    assert "4 counted" in monitor.told()


@pytest.mark.parametrize("size", [1, 256])
def test_what_is_foreign_and_repeated_does_not_hang_on_batches(tmp_path, size):
    rows = [
        post(0, "good banks"),
        post(1, "漢", id="1"),
        post(1, "bad banks", id="1"),
        post(1.1, "漢"),
        post(1.2, "漢"),
    ]
    monitor = watched(tmp_path / "watch", write(tmp_path / "posts.jsonl", rows), size)
    assert dict(monitor.tally) == {"records": 5, "counted": 1, "foreign": 2, "repeated": 2}


def test_a_text_that_comes_again_after_a_week_counts_again(tmp_path):
    rows = [post(24 * day, f"good banks {day % 8}") for day in range(10)]
    monitor = watched(tmp_path / "watch", write(tmp_path / "posts.jsonl", rows))
    assert (monitor.tally["counted"], monitor.tally["repeated"]) == (10, 0)
    assert monitor.file.select("SELECT count(*) FROM seen")[0][0] == 8


def test_a_post_is_remembered_until_it_would_be_late(tmp_path):
    rows = [post(0, "good banks", id="1"), *(post(24 * day, f"good shops {day}") for day in range(1, 9))]
    file = write(tmp_path / "posts.jsonl", [*rows, rows[0]])
    monitor = watched(tmp_path / "watch", file, rules=replace(RULES, late=10 * 24 * 3600.0))
    assert (monitor.tally["counted"], monitor.tally["repeated"]) == (9, 1)


def test_others_can_write_to_the_file_while_models_read(tmp_path, surging):
    def noting(texts):
        other = connect(tmp_path / "monitor.sqlite")
        other.execute("PRAGMA busy_timeout = 0")
        other.execute("UPDATE alerts SET sent = 1")
        other.close()
        return read(texts)

    monitor = watched(tmp_path, surging, reader=noting)
    assert monitor.file.select("SELECT sent FROM alerts WHERE id = 1") == [(1,)]


def test_a_damaged_file_and_a_folder_that_is_none_are_one_line(tmp_path):
    (tmp_path / "monitor.sqlite").write_bytes(b"no database " * 999)
    with pytest.raises(UserError, match=r"cannot use .*monitor\.sqlite: file is not a database"):
        Monitor(tmp_path, RULES, read)
    with pytest.raises(UserError, match=r"monitor\.sqlite is no folder"):
        Monitor(tmp_path / "monitor.sqlite", RULES, read)


def test_after_a_long_gap_the_stream_goes_on(tmp_path):
    rows = [post(0, "good banks"), *(post(24 * 30 + hour, f"bad shops {hour}") for hour in range(6))]
    monitor = watched(tmp_path / "watch", write(tmp_path / "posts.jsonl", rows))
    assert (monitor.tally["counted"], monitor.tally["far ahead of the others"], monitor.tally["late"]) == (5, 2, 0)


def test_an_outage_is_missing_and_not_a_quiet_time(tmp_path):
    outage = range(11 * 24, 11 * 24 + 9)
    rows = posts(SURGE - 1, outage)
    monitor = watched(tmp_path / "watch", write(tmp_path / "posts.jsonl", rows))
    before = watched(
        tmp_path / "before", write(tmp_path / "before.jsonl", [row for row in rows if row["time"] < rows[-1]["time"]])
    )
    assert "9 periods without any post" in monitor.told()
    assert not monitor.alerts()
    assert before.surges.recent[0][1] > 0


def test_an_empty_stream_has_a_page(tmp_path):
    monitor = watched(tmp_path / "watch", write(tmp_path / "posts.jsonl", []))
    write_trends(monitor, shares())
    assert "0 records: nothing to count" in (tmp_path / "watch" / "trends.html").read_text()


def test_texts_are_escaped_on_the_page(tmp_path):
    monitor = watched(tmp_path / "watch", write(tmp_path / "posts.jsonl", [post(0, HOSTILE)]))
    write_trends(monitor, shares())
    page = (tmp_path / "watch" / "trends.html").read_text()
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "<img" not in page


def test_a_wrong_record_is_told_with_its_number_and_left_out(tmp_path, caplog):
    rows = [post(0, "good banks"), {"time": "yesterday", "text": "bad"}, {"text": "no time"}, post(1, "bad shops")]
    file = write(tmp_path / "posts.jsonl", rows)
    file.write_text(file.read_text() + "no json\n")
    monitor = watched(tmp_path / "watch", file)
    assert (monitor.tally["counted"], monitor.tally["unreadable"]) == (2, 3)
    assert "record 2: 'yesterday' is no time: expected ISO 8601" in caplog.text
    assert "record 3: expected a column 'time'" in caplog.text
    assert "record 5: " in caplog.text


def test_a_line_that_is_not_written_to_its_end_is_read_by_the_next_command(tmp_path):
    file = write(tmp_path / "posts.jsonl", [post(0, "good banks")])
    whole = json.dumps(post(1, "bad banks")) + "\n"
    file.write_text(file.read_text() + whole[:20])
    monitor = watched(tmp_path / "watch", file)
    assert dict(monitor.tally) == {"records": 1, "counted": 1}
    monitor.close()
    file.write_text(file.read_text() + whole[20:])
    assert dict(watched(tmp_path / "watch", file).tally) == {"records": 2, "counted": 2}


def test_csv_with_lines_within_quotes(tmp_path):
    with (tmp_path / "posts.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["time", "text"], [0, "bad\nbanks"], [60, 'good "shops"']])
    ((batch, _),) = Stream(str(tmp_path / "posts.csv")).batches(Monitor(tmp_path / "w", RULES, read).place, 9)
    assert [each.text for each in batch] == ["bad\nbanks", 'good "shops"']


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ([post(0, "another file")], "is not the file that was read before"),
        ([{"when": "2024", "text": "bad"}], "expected a column 'time', got 'when', 'text'"),
    ],
)
def test_another_file_or_one_without_times_is_refused(tmp_path, second, message):
    folder = tmp_path / "watch"
    if "before" in message:
        watched(folder, write(tmp_path / "posts.jsonl", [post(0, "good banks and more")])).close()
    with pytest.raises(UserError, match=message):
        watched(folder, write(tmp_path / "posts.jsonl", second))


def test_other_rules_need_another_folder_and_two_commands_cannot_have_one(tmp_path):
    monitor = Monitor(tmp_path, RULES, read)
    with pytest.raises(UserError, match="another process works in"):
        Monitor(tmp_path, RULES, read)
    monitor.close()
    with pytest.raises(UserError, match=r"was begun with late 3600\.0, got 7200\.0"):
        Monitor(tmp_path, replace(RULES, late=7200.0), read)


class Server:
    """Takes alerts, after it has refused some."""

    def __init__(self, refusals: int) -> None:
        self.got, statuses = [], iter([500] * refusals)
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status = next(statuses, 204)
                if status == 204:
                    server.got.append(json.loads(body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


def test_alerts_reach_a_server_that_fails_at_first(tmp_path, surging, monkeypatch, caplog):
    monkeypatch.setattr(webhook, "WAITS", (0.02, 0.05))
    monitor, server = watched(tmp_path / "watch", surging), Server(refusals=2)
    lost = Webhook(monitor.file.path, "http://127.0.0.1:9/")  # nobody listens there
    lost.close()
    assert "alert 1 is sent to 127.0.0.1 again: ConnectError" in caplog.text
    sender = Webhook(monitor.file.path, server.url)
    while not monitor.file.select("SELECT sum(sent) FROM alerts")[0][0]:
        threading.Event().wait(0.02)
    sender.close()
    server.close()
    assert server.got == monitor.alerts()
    assert "alert 1 is sent to 127.0.0.1 again: HTTPStatusError" in caplog.text


@pytest.mark.parametrize("url", ["ftp://host/secret", "http://[::1/secret", "http://host:99999/secret", "http://\n/"])
def test_an_address_that_is_none_is_refused_and_not_repeated(tmp_path, url):
    with pytest.raises(UserError, match="expected an http or https address") as refused:
        Webhook(tmp_path / "file", url)
    assert "secret" not in str(refused.value)


def test_the_command_reads_a_stream_by_the_models_of_runs(tmp_path, finished, capsys):
    rows = [post(hour, f"shares of firm {hour} rose as the bank cut rates") for hour in range(40)]
    file = write(tmp_path / "posts.jsonl", rows[:30])
    words = ["monitor", f"--sentiment={finished}", f"--topic={finished}", f"--stream={file}"]
    words += [f"--folder={tmp_path / 'watch'}", "--negative=business"]
    main(words)
    assert "30 records: 30 counted" in capsys.readouterr().out
    write(file, rows)
    main(words)
    assert "40 records: 40 counted" in capsys.readouterr().out
    assert (tmp_path / "watch" / "trends.png").stat().st_size > 10_000
    with pytest.raises(SystemExit):
        main([*words, "--negative=angry"])
    assert "negative: 'angry' is no class of" in capsys.readouterr().err
