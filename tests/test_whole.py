"""A file is there whole, or not at all, whatever happens while it is written."""

import os

import pytest
from full_disk import full_disk

from recsys_teach.whole import UNFINISHED, reason_of, remove_left_over, whole_file


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "notes [1]*.txt"
    path.write_text("old")
    return path


def write(path, text="new"):
    with whole_file(path) as unfinished:
        unfinished.write_text(text)


def test_the_new_file_takes_the_place_of_the_old_one_when_it_is_finished(path):
    with whole_file(str(path)) as unfinished:
        unfinished.write_text("new")
        assert unfinished.parent == path.parent, "on the same disk"
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_block_that_stops_leaves_the_old_file_alone(path, stop):
    def stopped(text):
        with whole_file(path) as unfinished:
            unfinished.write_text(text)
            raise stop

    with pytest.raises(stop):
        stopped("new")
    assert path.read_text() == "old"
    assert os.listdir(path.parent) == [path.name]


def test_two_at_once_are_both_whole_and_the_last_one_stays(path):
    with whole_file(path) as slow:
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


def test_what_was_left_over_is_removed_a_day_later_and_nothing_else_is(path):
    mine = [f"{UNFINISHED}{path.name}-{name}" for name in ("old", "new")]
    others = [f"{UNFINISHED}notes 1x.txt-old", "notes"]  # the first would be meant by the name as a pattern
    for name in (*mine, *others):
        (path.parent / name).write_text("")
        if "new" not in name:
            os.utime(path.parent / name, (1_600_000_000, 1_600_000_000))
    write(path)
    assert set(os.listdir(path.parent)) == {path.name, mine[1], *others}


def test_what_cannot_be_removed_stays_and_a_folder_is_removed_whole(path, monkeypatch):
    (path.parent / "a" / "b").mkdir(parents=True)
    os.utime(path.parent / "a", (1_600_000_000, 1_600_000_000))
    monkeypatch.setattr("recsys_teach.whole.shutil.rmtree", lambda _: os.rmdir(path))
    remove_left_over(path.parent, "a")
    assert (path.parent / "a" / "b").exists()
    monkeypatch.undo()
    remove_left_over(path.parent, "a")
    assert os.listdir(path.parent) == [path.name]
