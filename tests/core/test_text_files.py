"""Encodings and packed files: what is read, and whether the advice of a refusal works."""

import bz2
import gzip
import lzma
import re

import pytest

from lit_react.core.errors import UserError
from lit_react.core.text_files import open_text
from lit_react.data.files import TextFormat, read_table

TEXTS = {
    "cp1252": "Où est le bon café, déjà vu à l’hôtel – 12 €",
    "cp1251": "Это очень хороший отель, нам всё понравилось",
    "shift_jis": "このホテルはとても良かったです。また来たいと思います",
    "euc_jp": "このホテルはとても良かったです。また来たいと思います",
    "big5": "這家酒店很好,我們還會再來",
    "euc_kr": "이 호텔은 정말 좋았습니다. 또 오고 싶어요",
    "cp1250": "Příliš žluťoučký kůň úpěl ďábelské ódy",
    "cp1256": "كان الفندق جيدا جدا ونحن سعداء",
    "gb18030": "酒店很好，下次还来住，服务员也很热情",
}


def rows(text):
    return f'text,label\nplain,a\n"{text}",b\n'


@pytest.mark.parametrize("encoding", TEXTS)
@pytest.mark.parametrize("name", ["d.csv", "d.jsonl"])
def test_the_advice_to_a_file_in_another_encoding_works(tmp_path, name, encoding):
    """What reads right in the message is the text, and the encoding beside it reads the file."""
    text, path = TEXTS[encoding], tmp_path / name
    content = rows(text) if name == "d.csv" else f'{{"text": "plain"}}\n\n{{"text": "{text}"}}\n'
    path.write_bytes(content.encode(encoding))
    with pytest.raises(
        UserError, match=rf"^{path}:3: not UTF-8 text: it reads .*; save it as UTF-8, or name"
    ) as caught:
        read_table(path)
    advised = re.findall(r"'([^']*)' in ([\w-]+)", str(caught.value))
    right = [name for shown, name in advised if shown.strip('"')[:8] in content]
    assert 1 <= len(advised) <= 4
    assert any(read_table(path, TextFormat(encoding=name)).table["text"].to_pylist()[1] == text for name in right)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".xz"])
@pytest.mark.parametrize("name", ["d.csv", "d.json"])
def test_unicode_is_read_packed_or_not(tmp_path, name, encoding, suffix):
    content = rows("é – 中") if name == "d.csv" else '[{"text": "plain"}, {"text": "é – 中"}]'
    pack = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}[suffix]
    path = tmp_path / f"{name}{suffix}"
    path.write_bytes(pack(content.encode(encoding)))
    assert read_table(path).table["text"].to_pylist() == ["plain", "é – 中"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_advised(tmp_path, encoding):
    path = tmp_path / "d.csv"
    path.write_bytes(rows("x").encode(encoding))
    with pytest.raises(UserError, match=f"d.csv:1: not UTF-8 text: it reads 'text,label' in {encoding};"):
        read_table(path)
    assert read_table(path, TextFormat(encoding=encoding)).table["label"].to_pylist() == ["a", "b"]


def test_the_line_of_a_wrong_byte_is_named_far_into_a_file_and_after_carriage_returns(tmp_path):
    path = tmp_path / "d.csv"
    path.write_bytes(b"text,label\n" + b"x,a\n" * 100_000 + b"caf\xe9,b\n")
    with pytest.raises(UserError, match=r"d\.csv:100002: not UTF-8"):
        read_table(path)
    path.write_bytes(b"text,label\rx,a\rcaf\xe9,b\r")
    with pytest.raises(UserError, match=r"d\.csv:3: not UTF-8"):
        read_table(path)


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz"])
@pytest.mark.parametrize("cut", [False, True])
def test_a_packed_file_that_is_cut_off_or_not_packed_is_refused(tmp_path, suffix, cut):
    whole = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}[suffix](rows("x").encode() * 9)
    path = tmp_path / f"d.csv{suffix}"
    path.write_bytes(whole[:-12] if cut else rows("x").encode())
    with pytest.raises(UserError, match=rf"d.csv{suffix}: cannot be read \(.*\): expected a whole {suffix} file"):
        read_table(path)


def test_a_packed_file_that_is_cut_off_and_in_another_encoding_is_refused(tmp_path):
    path = tmp_path / "d.csv.gz"
    path.write_bytes(gzip.compress(rows("caf\xe9").encode("latin-1"))[:-8])
    with pytest.raises(UserError, match=r"d\.csv\.gz: cannot be read \(.*\): expected a whole \.gz file"):
        read_table(path)


def test_half_a_character_of_utf_16_is_refused(tmp_path):
    path = tmp_path / "d.csv"
    path.write_bytes(rows("x").encode("utf-16") + b"y")
    with pytest.raises(UserError, match=r"d\.csv: begins like UTF-16 and is not: expected whole characters"):
        read_table(path)


def test_an_encoding_that_nobody_knows_is_refused():
    with pytest.raises(
        UserError, match=r"data\.encoding: unknown encoding: utf-nine, expected such as gb18030 or cp1252"
    ):
        TextFormat(encoding="utf-nine")


def test_an_error_of_the_reader_is_its_own(tmp_path):
    path = tmp_path / "d.txt"
    path.write_text("x")
    with pytest.raises(ZeroDivisionError), open_text(path) as text:
        1 // len(text.read()[1:])
