"""The stream that is monitored: records by half, quotes, files that are replaced, and times."""

import os
import time
from pathlib import Path

import pytest
from streams import post, write

from lit_react.applications import posts
from lit_react.applications.posts import Place, Post, Stream, seconds
from lit_react.core.errors import UserError

HEADER = "time,text\n"
BEGINNING = Place()


def read(file: Path, place: Place = BEGINNING) -> tuple[list[Post | str], Place]:
    """All that is new, and the place after it."""
    *_, last = found = list(Stream(str(file)).batches(place, 9))
    return [each for batch, _ in found for each in batch], last[1]


@pytest.mark.parametrize(("half", "rest"), [("2024-03-04,no ba", "d news"), ('2024-03-04,"no ba', 'd\nnews"')])
def test_a_record_of_csv_without_its_end_is_not_counted_by_half(tmp_path, caplog, half, rest):
    file = tmp_path / "posts.csv"
    file.write_text(HEADER + "2024-03-04,good\n" + half)
    [first], place = read(file)
    assert first.text == "good"
    assert "record 2 has no end yet" in caplog.text
    file.write_text(f"{file.read_text()}{rest}\n")
    [second], place = read(file, place)
    assert second.text.split() == ["no", "bad", "news"]
    assert read(file, place)[0] == []


@pytest.mark.parametrize("text", ['a 5" screen', 'a 5"" screen', '"a" b "c', '"a, ""b"'])
def test_quotes_swallow_no_records_that_csv_does_not_count_to_them(tmp_path, text):
    file = tmp_path / "posts.csv"
    file.write_text(HEADER + "".join(f"2024-03-04,{each}\n" for each in (text, "one", '"two\nlines"', "three")))
    assert [each.text for each in read(file)[0][1:]] == ["one", "two\nlines", "three"]


def test_a_quote_that_is_never_closed_is_read_in_linear_time(tmp_path):
    file = tmp_path / "posts.csv"
    file.write_text(HEADER + '2024-03-04,"a\n' + 150_000 * "a\n")
    begun = time.process_time()
    assert read(file)[0] == []
    assert time.process_time() - begun < 3


def test_a_header_without_a_column_is_refused_before_any_record(tmp_path):
    (tmp_path / "posts.csv").write_text("when,text\n")
    with pytest.raises(UserError, match=r"posts\.csv: expected a column 'time', got 'when', 'text'"):
        read(tmp_path / "posts.csv")


def test_a_header_may_come_later(tmp_path, monkeypatch):
    monkeypatch.setattr(posts, "LOOK_AGAIN", 0.01)
    file = tmp_path / "posts.csv"
    file.touch()
    batches = Stream(str(file), follow=True).batches(Place(), 9)
    assert next(batches)[0] == []
    file.write_text(HEADER + "2024-03-04,good\n")
    assert [each.text for each in next(batches)[0]] == ["good"]


@pytest.mark.parametrize("rotated", [True, False])
def test_a_file_that_is_replaced_while_it_is_followed_is_told_and_not_read_from_its_middle(
    tmp_path, monkeypatch, rotated
):
    monkeypatch.setattr(posts, "LOOK_AGAIN", 0.01)
    file = write(tmp_path / "posts.jsonl", [post(0, "good")])
    batches = Stream(str(file), follow=True).batches(Place(), 9)
    found = next(batches)[0]
    if rotated:
        os.rename(file, tmp_path / "posts.jsonl.1")
        with (tmp_path / "posts.jsonl.1").open("a") as old:
            old.write('{"time": 0, "text": "the last of the old one"}\n')
    write(file, [post(hour, f"another {hour}") for hour in range(9)])

    def go_on():
        for batch, place in batches:
            found.extend(batch)
            places.append(place)

    places = []
    with pytest.raises(UserError, match="has become another file; choose another --folder"):
        go_on()
    assert [each.text for each in found] == ["good", "the last of the old one"][: 1 + rotated]
    if rotated:
        with pytest.raises(UserError, match="is not the file that was read before"):
            read(file, places[-1])


@pytest.mark.parametrize(
    ("value", "expected"),
    [("20240304", 1709510400), ("2024-03-04T01:00+01:00", 1709510400), ("1709510400.5", 1709510400.5), (60, 60)],
)
def test_times(value, expected):
    assert seconds(value) == expected


@pytest.mark.parametrize("value", [True, "nan", "99999999", 1e12, "yesterday"])
def test_what_is_no_time(value):
    with pytest.raises(ValueError, match="is no time"):
        seconds(value)
