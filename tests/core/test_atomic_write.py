"""A file is there whole, or not at all, whatever happens while it is written."""

import os

import pytest
from full_disk import full_disk

from recsys_teach._util import atomic_write, reason_of


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "notes [1]*.txt"
    path.write_text("old")
    return path


def write(path, text="new"):
    with atomic_write(path) as unfinished:
        unfinished.write_text(text)


def test_the_new_file_takes_the_place_of_the_old_one_when_it_is_finished(path):
    with atomic_write(str(path)) as unfinished:
        unfinished.write_text("new")
        assert unfinished.parent == path.parent, "on the same disk"
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_block_that_stops_leaves_the_old_file_alone(path, stop):
    def stopped(text):
        with atomic_write(path) as unfinished:
            unfinished.write_text(text)
            raise stop

    with pytest.raises(stop):
        stopped("new")
    assert path.read_text() == "old"
    assert os.listdir(path.parent) == [path.name]


def test_two_at_once_are_both_whole_and_the_last_one_stays(path):
    with atomic_write(path) as slow:
        slow.write_text("slow ")
        write(path, "quick")
        assert path.read_text() == "quick"
        with slow.open("a") as file:
            file.write("and steady")
    assert path.read_text() == "slow and steady"


def test_a_full_disk_is_told_in_a_sentence(path):
    with full_disk(after=1), pytest.raises(OSError, match=r"can't be written \(File too large\): make room") as caught:
        write(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_text() == "old"
    assert os.listdir(path.parent) == [path.name]


def test_a_folder_that_is_missing_and_a_name_that_is_a_folder_are_told(path):
    with pytest.raises(OSError, match=r"nowhere.a can't be written \(No such file or directory\)"):
        write(path.parent / "nowhere" / "a")
    with pytest.raises(OSError, match="can't be written"):
        write(path.parent)
    with pytest.raises(OSError, match=r"x can't be written \(Not a directory\): make"):
        write(path / "x")
    with pytest.raises(OSError, match=r"can't be written \(File name too long\): make"):
        write(path.parent / ("x" * 250))
    assert os.listdir(path.parent) == [path.name]


def test_an_error_without_words_is_told_by_its_name():
    assert reason_of(OSError()) == "OSError"
