"""Quotes in CSV and TSV: what they may swallow, and reading without them."""

import pytest
from source_files import error, write
from tiny import load_source

from lit_react.core.errors import UserError
from lit_react.data.files import TextFormat, read_table

QUOTE = 'text\tlabel\na\tx\n"b\tx\nc\ty\nd\tx\n"e\ty\nf\tx\n'


def test_rows_that_a_quote_swallows_are_told_of_with_their_line(tmp_path, caplog):
    path = tmp_path / "d.tsv"
    path.write_text(QUOTE)
    assert read_table(path).table.num_rows == 3
    assert f"{path}:3: a quoted text takes 3 lines that look like rows of their own; where quotes mean" in caplog.text
    caplog.clear()
    whole = read_table(path, TextFormat(quote="")).table
    assert whole["text"].to_pylist() == ["a", '"b', "c", "d", '"e', "f"]
    assert not caplog.records


def test_texts_of_several_lines_that_are_no_rows_are_nothing_to_tell(tmp_path, caplog):
    source = load_source(write(tmp_path / "d.csv", text='text,label\n"one\ntwo",a\n"three, four\nfive",b\n'))
    assert source.pool["text"][:] == ["one\ntwo", "three, four\nfive"]
    assert "d.csv:4: a quoted text takes 1 lines" in caplog.text  # "three, four" has the comma of a row
    caplog.clear()
    load_source(write(tmp_path / "e.csv", text='text,label\n"one\ntwo",a\n"three\nfour",b\n'))
    assert not caplog.records


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_lines_end_as_on_any_system(tmp_path, ends):
    text = 'text,label\none,a\n"two\nlines",b\n\nthree,c'.replace("\n", ends)
    source = load_source(write(tmp_path / "d.csv", text=text.encode()))
    assert source.pool["text"][:] == ["one", f"two{ends}lines", "three"]
    assert "d.csv:6: label 'c'" in error(str(tmp_path / "d.csv"), label_names=["a", "b"])


def test_a_mark_is_one_character():
    with pytest.raises(UserError, match=r"data\.quote: '``' is no mark, expected one character, or '' for none"):
        TextFormat(quote="``")
