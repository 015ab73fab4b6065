"""A table of bad and odd inputs: the very reviews that must come out of a file, or the sentence that refuses it.

Every file goes through `load_reviews`, and through `read_source`, with which `prepare` reads it: both give the same
rows, or both refuse with the same words.
"""

import datetime
import gzip
import io
import os
import re
import zipfile
from decimal import Decimal
from json import dumps

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys_teach.baselines import DampedBiases, Popularity
from recsys_teach.evaluation import scoreboard
from recsys_teach.files import formats
from recsys_teach.files.formats import Reading
from recsys_teach.files.loading import load_reviews
from recsys_teach.splits import split_at_random

HEAD = b"user_id,product_id,rating\n"
GOOD = HEAD + b"ann,tent,5\nbob,wok,4\n"
ROWS = [("ann", "tent", 5.0), ("bob", "wok", 4.0)]
JSON = b'{"user_id": "ann", "product_id": "tent", "rating": 5}\n{"user_id": "bob", "product_id": "wok", "rating": 4}\n'
HUGE = b"x" * 10_000_000
SECOND = 1_600_000_000  # 2020-09-13 12:26:40
PACKED = gzip.compress(b"".join(b"u%d,p%d,5\n" % (row, row) for row in range(1_000)))


def csv(user="cy", product="kite", rating="3"):
    return GOOD + f"{user},{product},{rating}\n".encode()


def json(user='"cy"', product='"kite"', rating="3", more=""):
    return JSON + f'{{"user_id": {user}, "product_id": {product}, "rating": {rating}{more}}}\n'.encode()


def timed(*times):
    rows = "".join(f"u{row},p{row},{row + 1},{time}\n" for row, time in enumerate(times))
    return b"user_id,product_id,rating,timestamp\n" + rows.encode()


def timed_json(*times):
    line = '{{"user_id": "u{0}", "product_id": "p{0}", "rating": {1}, "timestamp": {2}}}\n'
    return "".join(line.format(row, row + 1, time) for row, time in enumerate(times)).encode()


def at(*seconds):
    """The rows of `timed`."""
    return [(f"u{row}", f"p{row}", row + 1.0, second) for row, second in enumerate(seconds)]


def parquet(names=(), **columns):
    plain = {"user_id": ["ann", "bob", "cy"], "product_id": ["tent", "wok", "kite"], "rating": [5.0, 4.0, 3.0]}
    table = pa.table(plain | columns)
    file = io.BytesIO()
    pq.write_table(table.rename_columns(names) if names else table, file)
    return file.getvalue()


def three(users=("ann", "bob", "cy"), ratings=(5.0, 4.0, 3.0), seconds=None):
    """The rows of `parquet`."""
    return list(zip(users, ("tent", "wok", "kite"), ratings, *([seconds] if seconds else [])))


def indexed():
    """What pandas writes of a table whose index are the users."""
    file = io.BytesIO()
    pd.DataFrame(ROWS, columns=["user_id", "product_id", "rating"]).set_index("user_id").to_parquet(file)
    return file.getvalue()


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a.csv"), GOOD)
    return file.getvalue()


def days(*numbers):
    return [datetime.date(2020, 1, number) for number in numbers]


NOT_UTF8 = "expected UTF-8"
NO_STARS = "a rating that is no number of stars"
NO_ID = "1 row with a user_id that is neither plain text nor a whole number"
NUL = "is NUL"
NO_USER = "1 row with no user_id"
NO_TIME = "a timestamp that is no time"
NO_JSON = "is no JSON"
CUT = "Compressed file ended before the end-of-stream marker was reached"
ONE_UNIT = "a timestamp in another unit than the rest"
DIGITS = "a year or a date in digits"
NO_COLUMNS = "No columns to parse from file"
LONE = "1 row with a user_id that begins with a quotation mark"
NO_HEADER = "begins with a line that looks like a review, not like names (columns found: ann, tent, 5): name its"

# What the file is, its name, its content; the reviews or the sentence.
# fmt: off
TABLE = [
    # Encodings.
    ("UTF-16", "a.csv", GOOD.decode().encode("utf-16"), NOT_UTF8),
    ("UTF-16 without its mark", "a.csv", GOOD.decode().encode("utf-16-le"), "byte 1 is NUL; expected UTF-8 text"),
    ("UTF-16 in JSON", "a.jsonl", JSON.decode().encode("utf-16"), NOT_UTF8),
    ("UTF-32", "a.csv", GOOD.decode().encode("utf-32"), NOT_UTF8),
    ("Latin-1", "a.csv", GOOD + "Zoë,kite,3\n".encode("latin-1"), NOT_UTF8),
    ("Latin-1 in JSON", "a.jsonl", JSON.replace(b"ann", "Zoë".encode("latin-1")), NOT_UTF8),
    ("Latin-1 in the last of many rows", "a.csv", GOOD + b"cy,kite,3\n" * 50_000 + b"Zo\xeb,kite,3\n", NOT_UTF8),
    ("Latin-1 in a column that isn't read", "a.csv", b"note," + GOOD.replace(b"\nann", b"\n\xff,ann").replace(b"\nbob",
        b"\n,bob"), NOT_UTF8),
    ("half a surrogate pair as UTF-8", "a.csv", GOOD + b"c\xed\xa0\x80y,kite,3\n", NOT_UTF8),
    ("a byte order mark", "a.csv", b"\xef\xbb\xbf" + GOOD, ROWS),
    ("a byte order mark before a quote", "a.csv", b'\xef\xbb\xbf"user_id"' + GOOD[7:], ROWS),
    ("a byte order mark in JSON", "a.jsonl", b"\xef\xbb\xbf" + JSON, ROWS),
    ("a byte order mark, packed", "a.tsv.gz", gzip.compress(b"\xef\xbb\xbf" + GOOD.replace(b",", b"\t")), ROWS),
    ("nothing but a byte order mark", "a.csv", b"\xef\xbb\xbf", NO_COLUMNS),
    # Delimiters, and how many fields.
    ("semicolons", "a.csv", GOOD.replace(b",", b";"), ROWS),
    ("tabs in a CSV file", "a.csv", GOOD.replace(b",", b"\t"), ROWS),
    ("commas in a TSV file", "a.tsv", GOOD, ROWS),
    ("bars", "a.csv", GOOD.replace(b",", b"|"), ROWS),
    ("double colons", "a.csv", b"userId::movieId::rating\n1::2::5\n2::3::4\n", [("1", "2", 5.0), ("2", "3", 4.0)]),
    ("semicolons and a comma in a text", "a.csv", b"user_id;product_id;rating;title\nann;tent;5;a, b\nbob;wok;4;c\n",
        ROWS),
    ("bars in every line of a CSV file", "a.csv", b"user_id,product_id,rating,a|b\nann,tent,5,c|d\nbob,wok,4,e|f\n",
        ROWS),
    ("two separators that fit alike", "a.csv", b"who;what|x\nann;tent|1\nbob;wok|2\n",
        "has lines that ';' and '|' separate into 2 fields alike: name one of them, as in sep=';'"),
    ("Excel's line sep=", "a.csv", b"sep=,\n" + GOOD, "(columns found: sep=, )"),
    ("a comment on top", "a.csv", b"# export\n" + GOOD, "(columns found: # export)"),
    ("an empty field at the end of every row", "a.csv", HEAD + b"ann,tent,5,\nbob,wok,4,\n", ROWS),
    ("an empty field at the end of one row", "a.csv", GOOD + b"cy,kite,3,\n", [*ROWS, ("cy", "kite", 3.0)]),
    ("a column without a name", "a.csv", b",user_id,product_id,rating\n0,ann,tent,5\n1,bob,wok,4\n", ROWS),
    ("a field too many in one row", "a.csv", GOOD + b"cy,kite,3,x\n", "row 2 has more fields than the header's 3"),
    ("a field too many in every row", "a.csv", HEAD + b"9,ann,tent,1\n9,bob,wok,2\n",
        "row 0 has more fields than the header's 3"),
    ("two fields too many", "a.csv", GOOD + b"cy,kite,3,4,5\n", "can't be read as csv"),
    ("the rating missing in the last row", "a.csv", GOOD + b"cy,kite\n", NO_STARS),
    ("a note missing in the last row", "a.csv", b"user_id,product_id,rating,note\nann,tent,5,x\nbob,wok,4\n", ROWS),
    ("blanks around fields are part of them", "a.csv", HEAD + b"ann, tent, 5\nbob, wok , 4 \n", [("ann", " tent", 5.0),
        ("bob", " wok ", 4.0)]),
    ("blanks around names", "a.csv", GOOD.replace(b",", b", ", 2), "no column 'product_id' and no column 'rating'"),
    ("nothing but commas in a row", "a.csv", GOOD + b",,\n", NO_USER),
    # Quotes.
    ("everything quoted", "a.csv", HEAD + b'"ann","tent","5"\n"bob","wok","4"\n', ROWS),
    ("doubled quotes", "a.csv", csv('"c""y"'), [*ROWS, ('c"y', "kite", 3.0)]),
    ("a quoted comma", "a.csv", csv('"c,y"'), [*ROWS, ("c,y", "kite", 3.0)]),
    ("a quoted end of line", "a.csv", csv('"c\ny"'), [*ROWS, ("c\ny", "kite", 3.0)]),
    ("a quote within a field", "a.csv", csv('c"y'), [*ROWS, ('c"y', "kite", 3.0)]),
    ("single quotes are no quotes", "a.csv", csv("'cy'"), [*ROWS, ("'cy'", "kite", 3.0)]),
    ("an unclosed quote", "a.csv", GOOD + b'"cy,kite,3\ndan,wok,4\n', LONE),
    ("an unclosed quote in the last field", "a.csv", GOOD + b'cy,kite,"3', NO_STARS),
    ("more behind a closing quote", "a.csv", csv('"c"y'), LONE),
    ("a quote behind a backslash", "a.csv", csv('"c\\"y"'), LONE),
    ("a lone quote in a text", "a.tsv", b'user_id\tproduct_id\trating\tx\nann\ttent\t5\t"fine\nbob\twok\t4\ty\n', ROWS),
    ("two lone quotes that would swallow a line", "a.tsv",
        b'user_id\tproduct_id\trating\tx\nann\ttent\t5\t"fine\nbob\twok\t4\tsaid he"\n', ROWS),
    ("two lone quotes that would swallow a line of a CSV file", "a.csv",
        b'user_id,product_id,rating,x\nann,tent,5,"fine\nbob,wok,4,said he"\n', ROWS),
    ("a lone quote, and a line that is long", "a.csv", GOOD + b'cy,kite,3,"x\n', "line 4 has a quotation mark at a "),
    ("an id in quotation marks and the same without", "a.csv", GOOD + b'"ann",kite,3\n',
        "has an id in quotation marks in one row and without them in another ('ann')"),
    ("an id that holds quotation marks and the same without", "a.csv", GOOD + b'"""ann""",kite,3\n', [*ROWS, ('"ann"',
        "kite", 3.0)]),
    ("some fields in quotation marks", "a.csv", HEAD + b'ann,"tent",5\n"bob",wok,"4"\n', ROWS),
    ("a quoted text of 200,000 characters", "a.csv",
        b'user_id,product_id,rating,x\nann,tent,5,"' + b"y, " * 70_000 + b'"\nbob,wok,4,z\n', ROWS),
    ("quoted, and empty", "a.csv", csv('""'), NO_USER),
    # Ends of lines.
    ("Windows' ends of lines", "a.csv", GOOD.replace(b"\n", b"\r\n"), ROWS),
    ("carriage returns alone", "a.csv", GOOD.replace(b"\n", b"\r"), ROWS),
    ("both kinds", "a.csv", HEAD + b"ann,tent,5\r\nbob,wok,4\n", ROWS),
    ("no end of the last line", "a.csv", GOOD[:-1], ROWS),
    ("empty lines", "a.csv", HEAD + b"ann,tent,5\n\nbob,wok,4\n\n", ROWS),
    ("empty lines on top", "a.csv", b"\n\n" + GOOD, ROWS),
    ("a line of blanks", "a.csv", HEAD + b"ann,tent,5\n   \nbob,wok,4\n", ROWS),
    ("Windows' ends of lines in JSON", "a.jsonl", JSON.replace(b"\n", b"\r\n"), ROWS),
    ("carriage returns alone in JSON", "a.jsonl", JSON.replace(b"\n", b"\r"), ROWS),
    ("empty lines in JSON", "a.jsonl", b"\n" + JSON.replace(b"\n", b"\n  \n"), ROWS),
    # Headers and names of columns.
    ("a header only", "a.csv", HEAD, "has no rows: expected one review a row"),
    ("no header", "a.csv", GOOD[len(HEAD):], NO_HEADER),
    ("a header twice", "a.csv", csv() + HEAD, f"1 row with {NO_STARS}"),
    ("a column missing", "a.csv", b"user_id,rating\nann,5\nbob,4\n",
        "no column 'product_id' (columns found: user_id, rating)"),
    ("a column twice", "a.csv", b"user_id," + HEAD + b"ann,bob,tent,1\n",
        "has more than one column 'user_id': keep one of them"),
    ("one of MovieLens' columns twice", "a.csv", b"userId,movieId,movieId,rating\na,b,c,5\nd,e,f,4\n",
        "has more than one column 'movieId'"),
    ("another column twice", "a.csv", b"x,x," + HEAD + b"1,2,ann,tent,5\n3,4,bob,wok,4\n", ROWS),
    ("names that differ by case", "a.csv", b"USER_ID," + HEAD + b"x,ann,tent,5\ny,bob,wok,4\n", ROWS),
    ("names that differ by case in JSON", "a.jsonl", JSON.replace(b'{"', b'{"USER_ID": "x", "'), ROWS),
    ("names in capitals only", "a.csv", GOOD.replace(b"user_id", b"User_ID"),
        "has no column 'user_id' (columns found: User_ID,"),
    ("a name that holds quotes", "a.csv", b'user_id,product_id,rating,"it\'s ""x"""\nann,tent,5,1\nbob,wok,4,2\n',
        ROWS),
    ("names of a page of HTML", "a.csv", b"<!DOCTYPE html>\n<p>404</p>\n", "(columns found: <!DOCTYPE html>)"),
    ("a thousand columns", "a.csv", b"x," * 1_000 + b"x\n1", "x, x, "),
    ("MovieLens' u.data", "u.data", b"196\t242\t3\t881250949\n186\t302\t3.5\t891717742\n",
        [("196", "242", 3.0, 881250949), ("186", "302", 3.5, 891717742)]),
    ("MovieLens' ratings.dat", "ratings.dat", b"1::1193::5::978300760\n2::661::3::978302109\n",
        [("1", "1193", 5.0, 978300760), ("2", "661", 3.0, 978302109)]),
    ("Amazon's ratings of 2014", "ratings.csv", b"A2CX7,0132793040,5.0,1365811200\nA2NWS,B00321,1.0,1341100800\n",
        [("A2CX7", "0132793040", 5.0, 1365811200), ("A2NWS", "B00321", 1.0, 1341100800)]),
    ("Amazon's ratings of 2018", "ratings.csv", b"0132793040,A2CX7,5.0,1365811200\nB00321,A2NWS,1.0,1341100800\n",
        [("A2CX7", "0132793040", 5.0, 1365811200), ("A2NWS", "B00321", 1.0, 1341100800)]),
    ("numbers without a header, separated by commas", "a.csv", b"1,2,5,881250949\n2,3,4,891717742\n",
        "--header 'user_id,product_id,rating,timestamp'"),
    ("no ratings", "a.csv", b"user_id,product_id\nann,tent\nbob,wok\n", [("ann", "tent"), ("bob", "wok")]),
    ("Yelp's names", "a.jsonl", JSON.replace(b"product_id", b"business_id").replace(b"rating", b"stars"), ROWS),
    # JSON Lines.
    ("a name twice in an object", "a.jsonl", json(more=', "user_id": "dan"'),
        "line 3 can't be understood (it has more than one 'user_id')"),
    ("a name missing in an object", "a.jsonl", JSON + b'{"user_id": "cy", "rating": 3}\n', "1 row with no product_id"),
    ("a rating missing in an object", "a.jsonl", JSON + b'{"user_id": "cy", "product_id": "kite"}\n',
        f"1 row with {NO_STARS}"),
    ("no column at all in JSON", "a.jsonl", b"{}\n{}\n", "has no rows"),
    ("no line in JSON", "a.jsonl", b"\n", "has no rows"),
    ("an array", "a.json", b"[" + JSON.strip().replace(b"\n", b",") + b"]", ROWS),
    ("an array on several lines", "a.json.gz", gzip.compress(b"\n[\n " + JSON.strip().replace(b"\n", b"\n ,") + b" ]"),
        ROWS),
    ("an array of objects that are longer than what is read at once", "a.json", b"[" + JSON.strip().replace(
        b'"rating"', b'"text": "%s", "rating"' % (b"x" * 2**20)).replace(b"\n", b",") + b"]", ROWS),
    ("an empty array", "a.json", b" [ ] ", "has no rows"),
    ("an array that is cut", "a.json", b"[" + JSON.strip().replace(b"\n", b","), "after object 2 of the array there is "
        "its end; expected , or ]"),
    ("an array that is cut within an object", "a.json", b"[" + JSON.strip().replace(b"\n", b",")[:-3],
        "object 2 of the array is no JSON"),
    ("an array without commas", "a.json", b"[" + JSON.strip() + b"]", "after object 1 of the array there is '{'"),
    ("a comma too many in an array", "a.json", b"[" + JSON.strip().replace(b"\n", b",") + b",]",
        "after object 2 of the array there is ']'"),
    ("an array of numbers", "a.json", b"[1, 2]", "after object 0 of the array there is '1'"),
    ("more behind an array", "a.json", b"[" + JSON.strip().replace(b"\n", b",") + b"] x",
        "there is more behind the end of the array"),
    ("a name twice in an array", "a.json", b"[" + JSON.splitlines()[0][:-1] + b', "user_id": "x"}]',
        "object 1 can't be understood (it has more than one 'user_id')"),
    ("Python's notation", "a.json", b"{u'user_id': u'ann', 'product_id': 'tent', 'rating': 5, 'good': True}\n"
        b"{u'user_id': u\"bob\", 'product_id': 'wok', 'rating': 4, 'good': None}\n", ROWS),
    ("a name twice in Python's notation", "a.json", b"{'user_id': 'ann', 'product_id': 'tent', 'rating': 5}\n"
        b"{'user_id': 'bob', 'user_id': 'x', 'product_id': 'wok', 'rating': 4}\n", "line 2 can't be understood (it has "
        "more than one 'user_id')"),
    ("a call in Python's notation", "a.json", b"{'user_id': print(1), 'product_id': 'tent', 'rating': 5}\n",
        f"line 1 {NO_JSON}"),
    ("an object on several lines", "a.json", b'{\n"user_id": "ann"\n}\n', f"line 1 {NO_JSON}"),
    ("two objects on a line", "a.jsonl", JSON.replace(b"\n", b""), f"line 1 {NO_JSON} (Extra data)"),
    ("cut within a line", "a.jsonl", json()[:-9], f"line 3 {NO_JSON}"),
    ("no JSON", "a.jsonl", JSON + b"not json\n", f"line 3 {NO_JSON} (Expecting value)"),
    ("nested too deeply", "a.jsonl", JSON + b"[" * 100_000, "line 3"),
    ("half a surrogate pair", "a.jsonl", json('"c\\ud800y"'), "line 3 holds half a character"),
    ("half a surrogate pair in what isn't read", "a.jsonl", json(more=', "note": "\\uDFFF"'),
        "line 3 holds half a character"),
    ("a whole surrogate pair", "a.jsonl", json('"\\ud83d\\ude00"'), [*ROWS, ("😀", "kite", 3.0)]),
    ("escapes", "a.jsonl", json('"\\u0041\\/\\n\\""'), [*ROWS, ('A/\n"', "kite", 3.0)]),
    # What an id is.
    ("leading zeros", "a.csv", csv("007") + b"7,kite,3\n", [*ROWS, ("007", "kite", 3.0), ("7", "kite", 3.0)]),
    ("ids that look like something else", "a.csv", csv("NA", "1e5") + b"null,1.10,3\n", [*ROWS, ("NA", "1e5", 3.0),
        ("null", "1.10", 3.0)]),
    ("ids that differ by case", "a.csv", csv("Ann"), [*ROWS, ("Ann", "kite", 3.0)]),
    ("ids that differ by Unicode form", "a.csv", csv("Zo\u00eb") + "Zoe\u0308,kite,2\n".encode(), [*ROWS,
        ("Zo\u00eb", "kite", 3.0), ("Zoe\u0308", "kite", 2.0)]),
    ("emoji and right-to-left text", "a.csv", csv("👩‍👩‍👧", "חתול") + "قط,🐈,2\n".encode(), [*ROWS,
        ("👩‍👩‍👧", "חתול", 3.0), ("قط", "🐈", 2.0)]),
    ("a character without a width", "a.csv", csv("ann\u200b"), [*ROWS, ("ann\u200b", "kite", 3.0)]),
    ("an id of 5,000 characters", "a.csv", csv("x" * 5_000), [*ROWS, ("x" * 5_000, "kite", 3.0)]),
    ("an id of 10 MB", "a.csv", csv(HUGE.decode()), [*ROWS, (HUGE.decode(), "kite", 3.0)]),
    ("no user", "a.csv", csv(""), NO_USER),
    ("no product", "a.csv", csv(product=""), "1 row with no product_id"),
    *((f"a blank user {blank!r}", "a.csv", csv(blank), NO_USER) for blank in (
        "  ", "\t", "\u00a0", "\u2028", "\u3000", "\x1c", "\x85")),
    ("a blank user in JSON", "a.jsonl", json('" \\t\\n"'), NO_USER),
    ("no user in JSON", "a.jsonl", json("null"), NO_USER),
    ("NUL within an id", "a.csv", csv("c\0y"), "byte 48 is NUL; expected UTF-8 text"),
    ("NUL at the end of an id", "a.csv", csv("ann\0"), "byte 50 is NUL"),
    ("NUL in JSON", "a.jsonl", json('"c\\u0000y"'), NO_ID),
    ("NUL in Parquet", "a.parquet", parquet(user_id=["ann", "bob", "c\0y"]), NO_ID),
    ("NUL in a summary", "a.csv", b"summary," + HEAD + b"a\0b,ann,tent,5\ny,bob,wok,4\n", NUL),
    ("NUL late in a file", "a.csv.gz", gzip.compress(GOOD + b"cy,kite,3\n" * 200_000 + b"c\0y,kite,3\n"),
        "byte 2,000,048 is NUL"),
    ("NUL in a summary in JSON", "a.jsonl", json(more=', "summary": "a\\u0000b"'), [*ROWS, ("cy", "kite", 3.0)]),
    ("a file of NUL bytes", "a.csv", b"\0" * 100, "byte 0 is NUL"),
    ("NUL bytes where a disk was full", "a.csv", GOOD + b"\0" * 5_000, NUL),
    ("a blank before a quoted id", "a.csv", csv(' "cy"'), NO_ID),
    *((f"the number {number} as an id", "a.jsonl", json(number), [*ROWS, (text, "kite", 3.0)]) for number, text in (
        ("7", "7"), ("7.0", "7"), ("-0.0", "0"), ("1e5", "100000"), ("9007199254740993", "9007199254740993"),
        ("12345678901234567890", "12345678901234567890"), ("1" * 30, "1" * 30))),
    *((f"{value} as an id", "a.jsonl", json(value), NO_ID) for value in (
        "1.5", "1.10", "1e16", "1e300", "9007199254740993.0", "Infinity", "true", "false", "[1]", '{"a": 1}')),
    ("NaN as an id", "a.jsonl", json("NaN"), NO_USER),
    ("1 and 1.0 are one user", "a.jsonl", json("1") + json("1.0")[len(JSON):], [*ROWS, ("1", "kite", 3.0),
        ("1", "kite", 3.0)]),
    # What a rating is.
    *((f"{text!r} stars", "a.csv", csv(rating=f'"{text}"'), [*ROWS, ("cy", "kite", stars)]) for text, stars in (
        ("4.5", 4.5), ("+3", 3), ("-3", -3), (" 3 ", 3), ("3.", 3), (".5", 0.5), ("3e0", 3), ("0003", 3), ("100", 100),
        ("1000000", 1e6), ("-1e6", -1e6), ("1e-400", 0), ("4.35", 4.35))),
    *((f"{text!r} stars", "a.csv", csv(rating=f'"{text}"'), f"1 row with {NO_STARS}") for text in (
        "", " ", "lots", "nan", "NaN", "NA", "None", "inf", "-Infinity", "1e400", "1e300", "1000001",
        "-1e7", "5,0", "1,000", "1_000",
        "1_0.5", "0x1F", "0b1", "٣", "５", "³", "★★★", "3/5", "3 stars", "3%", "$3", "1 000",
        "−3", "true", "3L", "1.5.2",
        "3\u00a0", "3\n4", "--3")),
    ("True and False as ratings", "a.csv", HEAD + b"ann,tent,True\nbob,wok,false\n", [("ann", "tent", 1.0),
        ("bob", "wok", 0.0)]),
    ("a truth value among numbers", "a.csv", csv(rating="True"), f"1 row with {NO_STARS}"),
    *((f"{value} stars in JSON", "a.jsonl", json(rating=value), [*ROWS, ("cy", "kite", stars)]) for value, stars in (
        ("4.5", 4.5), ('"4.5"', 4.5), ("1E1", 10), ("-0.0", 0), ("0.30000000000000004", 0.30000000000000004))),
    *((f"{value} stars in JSON", "a.jsonl", json(rating=value), f"1 row with {NO_STARS}") for value in (
        "true", "null", "NaN", "Infinity", "1e400", "1e300", '"1_000"', '""', "[3]", '{"stars": 3}')),
    *((f"{value} in JSON", "a.jsonl", json(rating=value), f"line 3 {NO_JSON}") for value in (
        "03", "+3", ".5", "3.", "0x3")),
    ("a rating of 10 MB", "a.jsonl", json(rating=f'"{"x" * 3_000_000}"'), "xxxxxxxx…'"),
    # What a time is.
    ("seconds", "a.csv", timed(SECOND, SECOND + 1), at(SECOND, SECOND + 1)),
    ("milliseconds", "a.csv", timed(SECOND * 1_000, SECOND * 1_000 + 1_999), at(SECOND, SECOND + 1)),
    ("microseconds", "a.csv", timed(SECOND * 10**6 + 999_999, SECOND * 10**6), at(SECOND, SECOND)),
    ("nanoseconds", "a.csv", timed(SECOND * 10**9 + 999_999_999, SECOND * 10**9), at(SECOND, SECOND)),
    ("nanoseconds in JSON", "a.jsonl", timed_json(SECOND * 10**9 + 999_999_999, SECOND * 10**9), at(SECOND, SECOND)),
    ("before 1970", "a.csv", timed(-5, -1_000_000_000), at(-5, -1_000_000_000)),
    ("before 1970 in ms", "a.csv", timed(-1_000_000_000_001, -1_000_000_000_000), at(-1_000_000_001, -1_000_000_000)),
    ("before 1970 in µs", "a.csv", timed(-1_600_000_000_000_001, -1_600_000_000_000_000), at(-1_600_000_001,
        -1_600_000_000)),
    ("before 1970 in ns", "a.csv", timed(-(10**18) - 1, -(10**18)), at(-1_000_000_001, -1_000_000_000)),
    ("the last microsecond of a second, 2255", "a.csv", timed(*[9_007_199_254_999_999] * 2), at(*[9_007_199_254] * 2)),
    ("fractions of seconds", "a.csv", timed("1600000000.9", "-1.5"), at(SECOND, -2)),
    ("floats in JSON", "a.jsonl", timed_json("1600000000.0", "1.6e9"), at(SECOND, SECOND)),
    ("blanks around numbers", "a.csv", timed(" 1600000000 ", "\t1600000001"), at(SECOND, SECOND + 1)),
    ("seconds and milliseconds", "a.csv", timed(SECOND, SECOND * 1_000), ONE_UNIT),
    ("milliseconds from before and after 1973", "a.csv", timed(94_608_000_000, SECOND * 1_000), ONE_UNIT),
    ("milliseconds, all of 1972", "a.csv", timed(94_608_000_000, 94_608_000_001), f"2 rows with {NO_TIME}"),
    ("the last second of 2261", "a.csv", timed(9_214_646_399, 0), at(9_214_646_399, 0)),
    ("the first second of 2262", "a.csv", timed(9_214_646_400, 0), f"1 row with {NO_TIME}"),
    ("the first second of 1678", "a.csv", timed(-9_214_560_000, 0), at(-9_214_560_000, 0)),
    ("the year 1677", "a.csv", timed("1677-12-31", "2020-01-01"), f"1 row with {NO_TIME}"),
    ("the year 2262", "a.csv", timed("2262-01-01", "2020-01-01"), f"1 row with {NO_TIME}"),
    ("the years 1 and 9999", "a.csv", timed("0001-01-01", "9999-12-31"), f"2 rows with {NO_TIME}"),
    ("years", "a.csv", timed(2014, 2015), DIGITS),
    ("dates in 8 digits", "a.csv", timed(20200101, 20200102), DIGITS),
    ("dates in 12 digits", "a.csv", timed(202001010000, 202001012359), DIGITS),
    ("dates in 14 digits", "a.csv", timed(20200101000000, 20200101235959), DIGITS),
    ("dates as ISO 8601 has them", "a.csv", timed("2020-01-01", "2020-01-02T03:04:05Z"), at(1_577_836_800,
        1_577_934_245)),
    ("dates with zones", "a.csv", timed("2020-01-01T00:00:00+05:30", "2020-01-01 00:00:00-0800"), at(1_577_817_000,
        1_577_865_600)),
    ("dates with zones and no seconds", "a.csv", timed("2020-01-01T00:00+05:30", "2020-01-01 00:00 UTC"),
        at(1_577_817_000, 1_577_836_800)),
    ("dates in UTC", "a.csv", timed("2020-01-01 00:00:00 UTC", " 2020-01-01\u00a0"), at(1_577_836_800, 1_577_836_800)),
    ("dates before 1970 with fractions", "a.csv", timed("1969-12-31T23:59:59.5Z", "1900-01-01"), at(-1,
        -2_208_988_800)),
    ("dates with slashes, the year first", "a.csv", timed("2020/01/02", "2020/1/3"), at(1_577_923_200, 1_578_009_600)),
    *((f"{one} as a time", "a.csv", timed(f'"{one}"', f'"{other}"'), NO_TIME) for one, other in (
    ("01/02/2020", "13/02/2020"), ("01.02.2020", "13.02.2020"), ("Jan 5, 2020", "6 January 2020"), ("2020-02-30",
        "2020-02-01"),
        ("12:00", "13:00"), ("now", "today"), ("in 2014", ""), ("1e30", "1e30"), ("inf", "-inf"), ("nan", "nan"),
    ("1_600_000_000", "1_600_000_001"), ("2020-01-01T24:00:00", "2020-01-01"), ("2016-12-31T23:59:60Z", "2020-01-01"),
        ("10000-01-01", "2020-01-01"), ("2020-01-01 (BC)", "2020-01-01"), ("2020-01-01 00:00:00 EST", "2020-01-01"),
        ("2020-01", "2020-02"), ("true", "false"))),
    ("a date among numbers", "a.csv", timed("2020-01-01", SECOND), f"1 row with {NO_TIME}"),
    ("one time missing", "a.csv", timed("", SECOND), f"1 row with {NO_TIME}"),
    ("all times missing in JSON", "a.jsonl", timed_json("null", "null"), f"2 rows with {NO_TIME}"),
    ("a time in the last line only", "a.jsonl", json(more=', "timestamp": 1600000000'), f"2 rows with {NO_TIME}"),
    ("truth values as times", "a.jsonl", timed_json("true", "false"), f"2 rows with {NO_TIME}"),
    ("lists as times", "a.jsonl", timed_json("[1]", '{"$date": 1}'), f"2 rows with {NO_TIME}"),
    # Parquet's types.
    ("whole numbers", "a.parquet", parquet(user_id=[1, 2, 2**63 - 1]), three(["1", "2", "9223372036854775807"])),
    ("unsigned numbers", "a.parquet", parquet(user_id=pa.array([1, 2, 2**64 - 1], pa.uint64())),
        three(["1", "2", "18446744073709551615"])),
    ("floats that are whole", "a.parquet", parquet(user_id=[-0.0, 1e5, 1e15]),
        three(["0", "100000", "1000000000000000"])),
    ("floats with a gap", "a.parquet", parquet(user_id=[1.0, None, 3.0]), NO_USER),
    ("floats with NaN", "a.parquet", parquet(user_id=[1.0, float("nan"), 3.0]), NO_USER),
    ("floats that aren't whole", "a.parquet", parquet(user_id=[1.0, 1.5, 3.0]), NO_ID),
    ("single precision", "a.parquet", parquet(user_id=pa.array([1, 2, 3], pa.float32()),
        rating=pa.array([1.1, 2, 3], pa.float32())), three(["1", "2", "3"], [1.100000023841858, 2.0, 3.0])),
    ("truth values", "a.parquet", parquet(user_id=[True, None, None]), NO_ID),
    ("bytes", "a.parquet", parquet(user_id=[b"ann", b"bob", "Zoë".encode("latin-1")]),
        "3 rows with a user_id that is neither plain text"),
    ("lists", "a.parquet", parquet(user_id=[["ann"], ["bob"], ["cy"]]),
        "3 rows with a user_id that is neither plain text"),
    ("structures", "a.parquet", parquet(user_id=[{"a": 1}] * 3), "3 rows with a user_id that is neither plain text"),
    ("a dictionary", "a.parquet", parquet(user_id=pa.array(["ann", "bob", "ann"]).dictionary_encode()),
        three(["ann", "bob", "ann"])),
    ("decimals", "a.parquet", parquet(user_id=[Decimal("1.10"), Decimal("2.00"), Decimal("3.00")],
        rating=[Decimal("4.5")] * 3), three(["1.10", "2", "3"], [4.5] * 3)),
    ("days as ids", "a.parquet", parquet(user_id=days(1, 2, 3)), three(["2020-01-01", "2020-01-02", "2020-01-03"])),
    ("texts as ratings", "a.parquet", parquet(rating=["5", "4.5", "1_000"]), f"1 row with {NO_STARS}"),
    ("days as ratings", "a.parquet", parquet(rating=days(1, 2, 3)), f"3 rows with {NO_STARS}"),
    ("truth values as ratings", "a.parquet", parquet(rating=[True, False, True]), three(ratings=[1.0, 0.0, 1.0])),
    ("no rating, NaN, infinite", "a.parquet", parquet(rating=[None, float("nan"), float("inf")]),
        f"3 rows with {NO_STARS}"),
    ("days", "a.parquet", parquet(timestamp=days(1, 2, 3)),
        three(seconds=[1_577_836_800, 1_577_923_200, 1_578_009_600])),
    ("times before 1970 in ms", "a.parquet", parquet(timestamp=pa.array([1_600, -3_500, -1], pa.timestamp("ms"))),
        three(seconds=[1, -4, -1])),
    ("times of a zone", "a.parquet", parquet(timestamp=pa.array([SECOND] * 3, pa.timestamp("s", "Europe/Berlin"))),
        three(seconds=[SECOND] * 3)),
    ("times beyond 2261", "a.parquet", parquet(timestamp=pa.array([2**34] * 3, pa.timestamp("s"))),
        f"3 rows with {NO_TIME}"),
    ("times of a day", "a.parquet", parquet(timestamp=pa.array([1, 2, 3], pa.time32("s"))), f"3 rows with {NO_TIME}"),
    ("a time missing", "a.parquet", parquet(timestamp=pa.array([1, None, 3], pa.timestamp("s"))),
        f"1 row with {NO_TIME}"),
    ("nanoseconds as numbers", "a.parquet", parquet(timestamp=[SECOND * 10**9 + 999_999_999] * 3),
        three(seconds=[SECOND] * 3)),
    ("a column that differs by case before ours", "a.parquet", parquet(["USER_ID", "product_id", "rating", "user_id"],
        x=["a", "b", "c"]), three(["a", "b", "c"])),
    ("a column twice in Parquet", "a.parquet", parquet(["user_id", "product_id", "rating", "user_id"],
        x=["a", "b", "c"]), "has more than one column 'user_id'"),
    ("the users as the index of pandas", "a.parquet", indexed(), ROWS),
    ("no rows in Parquet", "a.parquet", parquet(user_id=pa.array([], "str"), product_id=pa.array([], "str"),
        rating=pa.array([], "float64")), "has no rows"),
    # Files that are something else, or not whole.
    ("empty", "a.csv", b"", "is empty (0 bytes)"),
    ("an empty line", "a.csv", b"\n", NO_COLUMNS),
    ("blanks", "a.csv", b"   \n", NO_COLUMNS),
    ("nothing, packed", "a.csv.gz", gzip.compress(b""), NO_COLUMNS),
    ("nothing, packed, as JSON", "a.jsonl.gz", gzip.compress(b""), "has no rows"),
    ("another kind", "a.xlsx", GOOD,
        "is a file of another kind: expected a file that ends in .csv, .tsv, .txt, .dat, .data, .jsonl, .ndjson"),
    ("no kind", "a", GOOD, "is a file of another kind"),
    ("packed what?", "a.gz", gzip.compress(GOOD), "is a file of another kind"),
    ("names in capitals", "A.CSV.GZ", gzip.compress(GOOD), ROWS),
    ("a name beyond ASCII", "Zoë 🐈 [1] *.csv", GOOD, ROWS),
    ("gzip without its name", "a.csv", gzip.compress(GOOD, mtime=0), NOT_UTF8),
    ("gzip without its name, as JSON", "a.jsonl", gzip.compress(JSON, mtime=0), NOT_UTF8),
    ("gzip by its name only", "a.csv.gz", GOOD, "Not a gzipped file"),
    ("gzip twice", "a.csv.gz", gzip.compress(gzip.compress(GOOD, mtime=0)), NOT_UTF8),
    ("gzip in two members", "a.csv.gz", gzip.compress(GOOD) + gzip.compress(b"cy,kite,3\n"), [*ROWS,
        ("cy", "kite", 3.0)]),
    ("gzip, the second member cut", "a.csv.gz", gzip.compress(GOOD) + gzip.compress(b"cy,kite,3\n")[:-4], CUT),
    ("gzip, cut", "a.csv.gz", PACKED[:len(PACKED) // 2], CUT),
    ("gzip, cut, as JSON", "a.jsonl.gz", gzip.compress(JSON)[:-9], CUT),
    ("gzip, one bit wrong", "a.csv.gz", PACKED[:700] + bytes([PACKED[700] ^ 0x55]) + PACKED[701:],
        "can't be read as csv"),
    ("gzip and something else", "a.jsonl.gz", gzip.compress(JSON) + b"something else", "Not a gzipped file"),
    ("gzip and zeros", "a.csv.gz", gzip.compress(GOOD) + b"\0" * 100, ROWS),
    ("a ZIP archive", "a.csv", zipped(), "can't be read as csv"),
    ("a ZIP archive as gzip", "a.csv.gz", zipped(), "Not a gzipped file (b'PK')"),
    ("Parquet as CSV", "a.csv", parquet(), NOT_UTF8),
    ("CSV as Parquet", "a.parquet", GOOD, "can't be read as parquet"),
    ("CSV as JSON", "a.jsonl", GOOD, f"line 1 {NO_JSON}"),
    ("JSON as CSV", "a.csv", JSON, '(columns found: {"user_id": "ann",'),
    ("Parquet, cut", "a.parquet", parquet()[:-20], "can't be read as parquet"),
    # Sizes.
    ("a summary of 10 MB", "a.csv", b"user_id,product_id,rating,summary\nann,tent,5," + HUGE + b"\nbob,wok,4,y\n",
        ROWS),
    ("a quoted summary of many lines", "a.csv",
        b'user_id,product_id,rating,summary\nann,tent,5,"' + b"x\n" * 5_000 + b'"\nbob,wok,4,y\n', ROWS),
    ("a summary of 1 MB in JSON", "a.jsonl", json(more=f', "summary": "{"x" * 10**6}"'), [*ROWS, ("cy", "kite", 3.0)]),
]
# fmt: on
CASES = [pytest.param(*row[1:], id=row[0]) for row in TABLE]


def assert_outcome(path, read, expected):
    """The very rows, or one sentence that names the file and has these words in it."""
    if isinstance(expected, list):
        assert read(path) == expected
        return
    with pytest.raises(ValueError, match=re.escape(expected)) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert message.endswith((".", "?"))
    assert "\n" not in message
    assert message.isprintable()
    assert len(message) < len(str(path)) + 1_000


def loaded(path, **how):
    reviews = load_reviews(path, **how)
    columns = [reviews[name].tolist() for name in ("user_id", "product_id", "rating") if name in reviews]
    if "timestamp" in reviews:
        columns.append(reviews["timestamp"].astype("int64").tolist())
    return list(zip(*columns))


@pytest.fixture(scope="module")
def prepared():
    """What `prepare` reads of a file."""
    duckdb = pytest.importorskip("duckdb", reason="DuckDB isn't installed: pip install recsys-teach[scale]")
    from recsys_teach.scale import stages

    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")

    def read(path, **how):
        stages.read_source(con, path, "reviews", how=Reading(**how))
        rows = con.execute("SELECT user_id, product_id, rating, seconds FROM reviews ORDER BY rowid").fetchall()
        return [tuple(value for value in row if value is not None) for row in rows]

    yield read
    con.close()


@pytest.fixture(autouse=True)
def no_bars(monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")


def test_no_two_cases_have_one_name():
    assert len({row[0] for row in TABLE}) == len(TABLE) > 100


@pytest.mark.filterwarnings("ignore:.*not rated")
@pytest.mark.parametrize(("name", "content", "expected"), CASES)
def test_load_reviews_gives_these_rows_or_one_sentence(tmp_path, name, content, expected):
    path = tmp_path / name
    path.write_bytes(content)
    assert_outcome(path, loaded, expected)


@pytest.mark.filterwarnings("ignore:.*not rated")
@pytest.mark.parametrize(("name", "content", "expected"), CASES)
def test_prepare_reads_the_same_rows_or_refuses_with_one_sentence(tmp_path, prepared, name, content, expected):
    path = tmp_path / name
    path.write_bytes(content)
    assert_outcome(path, prepared, expected)


def both(prepared):
    return (loaded, prepared)


def test_lone_quotation_marks_swallow_no_lines(tmp_path):
    rows = ['ann\ttent\t5\t"fine', "bob\twok\t4\tx", 'cy\tkite\t3\tsaid he"', "dan\ttent\t2\ty", "eve\twok\t1\tz"]
    (tmp_path / "a.tsv").write_text("\n".join(["user_id\tproduct_id\trating\tsummary", *rows]))
    assert [row[0] for row in loaded(tmp_path / "a.tsv")] == ["ann", "bob", "cy", "dan", "eve"]


@pytest.mark.parametrize("uneven", ["", "\t"], ids=["a field less", "one more"])
def test_lone_quotation_marks_in_a_file_with_an_uneven_line_are_refused(tmp_path, prepared, uneven):
    rows = [f"u{n}\tp{n}\t5\tfine\t1" for n in range(40)]
    rows[10], rows[20] = 'u10\tp10\t5\t"five stars\t1', 'u20\tp20\t5\tscreen of 12"\t1'
    rows[30] = rows[30] + uneven if uneven else rows[30].removesuffix("\t1")
    path = tmp_path / "a.tsv"
    path.write_text("\n".join(["user_id\tproduct_id\trating\tsummary\tmore", *rows]))
    for read in both(prepared):
        with pytest.raises(
            ValueError, match="goes on over lines, up to line 22, and each of these lines has 4 separators"
        ):
            read(path)


def test_texts_of_several_lines_are_read(tmp_path, prepared):
    path = tmp_path / "a.csv"
    path.write_text('user_id,product_id,rating,summary\nann,tent,5,"fine,\nreally, fine"\nbob,wok,4,\n')
    for read in both(prepared):
        assert read(path) == [("ann", "tent", 5.0), ("bob", "wok", 4.0)]


def test_the_first_review_of_a_file_without_a_header_is_read(tmp_path):
    (tmp_path / "u.data").write_text("1\t9\t3\t881250949\n2\t8\t4\t881250950\n3\t7\t5\t881250951\n")
    assert [row[0] for row in loaded(tmp_path / "u.data")] == ["1", "2", "3"]


WRITTEN_OTHERWISE = [
    ("semicolons and decimal commas", GOOD.replace(b",", b";").replace(b";5", b";4,5"), {"decimal": ","}, [
        ("ann", "tent", 4.5), ("bob", "wok", 4.0)]),
    ("a point where the comma is decimal", GOOD.replace(b",5", b",4.5"), {"decimal": ","}, NO_STARS),
    ("a decimal comma that isn't named", GOOD.replace(b",", b";").replace(b";5", b";4,5"), {},
        "say decimal=',', or --decimal ,"),
    ("Latin-1", GOOD.replace(b"ann", b"Zo\xeb"), {"encoding": "latin-1"}, [("Zoë", "tent", 5.0), ROWS[1]]),
    ("Windows-1252", GOOD.replace(b"ann", "€".encode("cp1252")), {"encoding": "cp1252"}, [("€", "tent", 5.0), ROWS[1]]),
    ("UTF-16", GOOD.decode().encode("utf-16"), {"encoding": "utf-16"}, ROWS),
    ("no such encoding", GOOD, {"encoding": "klingon"}, "encoding is 'klingon': expected one such as 'utf-8'"),
    ("days first", timed("31.12.2020", "1/2/2021 08:30"), {"dayfirst": True}, at(1_609_372_800, 1_612_168_200)),
    ("months first", timed("12/31/2020", "1/2/2021"), {"dayfirst": False}, at(1_609_372_800, 1_609_545_600)),
    ("days that aren't named", timed("31.12.2020", "01.02.2021"), {}, "--dayfirst or --monthfirst"),
    ("no thirteenth month", timed("31.12.2020", "12.31.2020"), {"dayfirst": True}, f"1 row with {NO_TIME}"),
    ("a separator that is named", b"user_id~product_id~rating\nann~tent~5\nbob~wok~4\n", {"sep": "~"}, ROWS),
    ("a separator of two characters", GOOD, {"sep": "ab"}, "sep is 'ab': expected one character"),
    ("names for a file without a header", GOOD[len(HEAD):], {"header": ["user_id", "product_id", "rating"]}, ROWS),
    ("other names for a file without a header", GOOD[len(HEAD):], {"header": ["a", "product_id", "c"], "columns": {
        "a": "user_id", "c": "rating"}}, ROWS),
    ("places in a file without a header", GOOD[len(HEAD):], {"header": False, "columns": {0: "user_id",
        1: "product_id", "2": "rating"}}, ROWS),
    ("too few names", GOOD[len(HEAD):], {"header": ["user_id", "product_id"]}, "has 3 fields in its first line, and"),
    ("a header that looks like none", b"user_id,product_id,1\nann,tent,5\nbob,wok,4\n", {"header": True, "columns": {
        "1": "rating"}}, ROWS),
    ("a value that means not rated", csv(rating="-1"), {"unrated": [-1]}, [*ROWS, ("cy", "kite")]),
    ("a text that means not rated", csv(rating="NULL"), {"unrated": ["NULL"]}, [*ROWS, ("cy", "kite")]),
    ("an empty rating that means not rated", csv(rating=""), {"unrated": [""]}, [*ROWS, ("cy", "kite")]),
    ("an empty rating", csv(rating=""), {}, "say unrated=[''], or --unrated ''"),
    ("another file's name", GOOD, {"columns": {"x": "user_id"}}, "has no column 'x' to rename"),
    ("a time in months' names", timed("2020-01-01", "2020-01-02").replace(b"timestamp", b"date"), {"columns": {
        "date": "timestamp"}}, at(1_577_836_800, 1_577_923_200)),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*not rated")
@pytest.mark.parametrize(
    ("content", "how", "expected"), [pytest.param(*row[1:], id=row[0]) for row in WRITTEN_OTHERWISE]
)
def test_what_is_said_of_a_file_is_heeded_by_both(tmp_path, prepared, content, how, expected):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    for read in both(prepared):
        if isinstance(expected, list):
            found = [tuple(value for value in row if value == value) for row in read(path, **how)]
            assert found == expected
        else:
            with pytest.raises(ValueError, match=re.escape(expected)):
                read(path, **how)


@pytest.mark.parametrize(("value", "others"), [("-1", "123"), ("99", "1234"), ("0", "12345")])
def test_a_rating_that_may_mean_not_rated_is_hinted_at(tmp_path, prepared, value, others):
    path = tmp_path / "a.csv"
    path.write_bytes(HEAD + "".join(f"u{n},p{n},{stars}\n" for n, stars in enumerate([*others, value])).encode())
    for read in both(prepared):
        with pytest.warns(UserWarning, match=rf"1 of {len(others) + 1} ratings are {value}, .*--unrated {value}\."):
            read(path)


@pytest.mark.parametrize("stars", [("-10", "-1", "7.5"), ("0", "0.5", "5"), ("1", "99", "100"), ("0", "1")])
def test_a_scale_that_has_such_numbers_is_a_scale(tmp_path, stars):
    path = tmp_path / "a.csv"
    path.write_bytes(HEAD + "".join(f"u{n},p{n},{rating}\n" for n, rating in enumerate(stars)).encode())
    assert [row[2] for row in loaded(path)] == [float(rating) for rating in stars]


def test_a_folder_of_parquet_files_is_one_table(tmp_path, prepared):
    folder = tmp_path / "parts"
    (folder / "rating=7").mkdir(parents=True)
    (folder / "_SUCCESS").touch()
    (folder / "part-1.pq").write_bytes(parquet(user_id=["dan", "eve", "flo"]))
    (folder / "rating=7" / "part-0.parquet").write_bytes(parquet())
    expected = sorted([*three(), *three(["dan", "eve", "flo"])])
    for read in both(prepared):
        assert sorted(read(folder)) == expected
    (folder / "part-2.parquet").write_bytes(parquet(["user_id", "product_id", "stars"]))
    for read in both(prepared):
        with pytest.raises(ValueError, match=r"part-2\.parquet has no column 'rating', which the files before it have"):
            read(folder)
    (folder / "part-2.parquet").write_bytes(parquet(timestamp=days(1, 2, 3)))
    for read in both(prepared):
        with pytest.raises(
            ValueError, match=r"part-2\.parquet has a column 'timestamp', which the files before it lack"
        ):
            read(folder)


def test_a_text_or_a_history_that_begins_late_is_empty_before(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "PIECE", 50)
    monkeypatch.setattr(formats, "BLOCK", 2_000)
    late = {"summary": "fine", "title": "Tent", "category": "camping", "categories": ["camping", "tents"]}
    rows = [{"user_id": f"u{n % 7}", "product_id": f"p{n % 5}", "rating": 4} for n in range(300)]
    rows = [row | late | {"history": ["p9"]} if n >= 250 else row for n, row in enumerate(rows)]
    (tmp_path / "lines.jsonl").write_text("\n".join(map(dumps, rows)))
    (tmp_path / "array.json").write_text(dumps(rows))
    for name in ("lines.jsonl", "array.json"):
        reviews = load_reviews(tmp_path / name)
        for column, text in {**late, "categories": "camping|tents"}.items():
            assert reviews[column].tolist() == [""] * 250 + [text] * 50
        assert reviews["history"].tolist() == [()] * 250 + [("p9",)] * 50


def test_what_the_folders_of_parquet_files_say_is_a_column(tmp_path, prepared):
    folder = tmp_path / "parts"
    for name, users in (("rating=4.5", ["ann", "bob"]), ("rating=2", ["cy", "dan"])):
        (folder / name).mkdir(parents=True)
        table = pa.table({"user_id": users, "product_id": ["tent", "wok"]})
        pq.write_table(table, folder / name / "part-0.parquet")
    expected = [("ann", "tent", 4.5), ("bob", "wok", 4.5), ("cy", "tent", 2.0), ("dan", "wok", 2.0)]
    for read in both(prepared):
        assert sorted(read(folder)) == expected
    by_user = tmp_path / "by user"
    for name in ("user_id=J%C3%BCrg%20B", "user_id=__HIVE_DEFAULT_PARTITION__"):
        (by_user / name).mkdir(parents=True)
        pq.write_table(pa.table({"product_id": ["tent", "wok"], "rating": [5.0, 4.0]}), by_user / name / "a.parquet")
    for read in both(prepared):
        with pytest.raises(ValueError, match="2 rows with no user_id"):
            read(by_user)
    (by_user / "user_id=__HIVE_DEFAULT_PARTITION__").rename(by_user / "user_id=ann")
    for read in both(prepared):
        assert {row[0] for row in read(by_user)} == {"Jürg B", "ann"}


def test_a_column_that_begins_late_gives_no_other_one_another_meaning(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "PIECE", 50)
    rows = [{"user_id": f"u{n % 7}", "product_id": f"p{n % 5}", "rating": 4, "title": "Five stars"} for n in range(20)]
    path = tmp_path / "a.json"
    path.write_text(dumps([*rows, rows[0] | {"text": "fine"}]))
    with pytest.raises(
        ValueError, match=r"'title' means 'summary' and no more 'title', as before: .*--column title=ti"
    ):
        load_reviews(path)
    assert "title" in load_reviews(path, columns={"title": "title"})


def test_encodings_that_are_not_of_texts_are_refused():
    for encoding in ("klingon", "hex", "rot13"):
        with pytest.raises(ValueError, match=f"encoding is '{encoding}': expected one such as 'utf-8'"):
            Reading(encoding=encoding)


@pytest.mark.parametrize("unrated", [-1, "-1", [-1], ("-1",), [None, -1]])
def test_one_value_for_not_rated_is_a_value(unrated):
    table = pd.DataFrame({"user_id": ["a", "b", "c"], "product_id": ["x", "y", "x"], "rating": [1, 5, -1]})
    assert load_reviews(table, unrated=unrated)["rating"].fillna(0).tolist() == [1, 5, 0]


@pytest.mark.parametrize("unrated", [None, [np.nan], ""])
def test_what_is_missing_may_be_named_by_what_is_missing(unrated):
    table = pd.DataFrame({"user_id": ["a", "b", "c"], "product_id": ["x", "y", "x"], "rating": [1, 5, None]})
    assert load_reviews(table, unrated=unrated)["rating"].fillna(0).tolist() == [1, 5, 0]


def test_a_file_in_the_home_folder_is_found(tmp_path, monkeypatch):
    (tmp_path / "mine.csv").write_bytes(GOOD)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(load_reviews("~/mine.csv")) == 2


def test_a_table_is_a_source_like_a_file(tmp_path):
    table = pd.DataFrame(
        {"who": [1, 2], "product_id": ["tent", "wok"], "stars": [5, 4], "timestamp": [5, 6]}, index=[7, 7]
    )
    reviews = load_reviews(table, columns={"who": "user_id", "stars": "rating"})
    assert reviews["user_id"].tolist() == ["1", "2"]
    assert list(reviews) == ["user_id", "product_id", "rating", "timestamp"]
    with pytest.raises(ValueError, match=r"the DataFrame has no column 'user_id' .*\(columns found: who, product_id"):
        load_reviews(table)


@pytest.mark.parametrize("written", ["text", "helpful_vote"])
def test_a_headline_is_never_the_title_of_a_product(tmp_path, written):
    table = pd.DataFrame({"user_id": ["a", "b"], "thing": ["x", "y"], "rating": [5, 1], "title": ["Five stars", "Bad"]})
    table.assign(**{written: "?"}).to_csv(tmp_path / "a.csv", index=False)
    reviews = load_reviews(tmp_path / "a.csv", columns={"thing": "product_id"})
    assert (list(reviews), reviews["summary"].tolist()) == (
        ["user_id", "product_id", "rating", "summary"],
        ["Five stars", "Bad"],
    )
    table.to_csv(tmp_path / "b.csv", index=False)
    assert "title" in load_reviews(tmp_path / "b.csv", columns={"thing": "product_id"})


def test_naming_one_column_leaves_the_others_known(tmp_path):
    table = pd.DataFrame({"rating": [5, 4], "title": "Good", "text": "x", "asin": ["A1", "A2"], "parent_asin": "P"})
    table = table.assign(user_id=["u1", "u2"], timestamp=1_600_000_000_000)
    table.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    reviews = load_reviews(tmp_path / "a.jsonl", columns={"asin": "product_id"})
    assert reviews["product_id"].tolist() == ["A1", "A2"]
    assert list(reviews) == ["user_id", "product_id", "rating", "summary", "timestamp"]


@pytest.mark.parametrize("time", ["unixReviewTime", "timestamp"])
def test_times_that_only_late_lines_of_json_have_are_not_left_out(tmp_path, prepared, time):
    names = ("reviewerID", "asin", "overall") if time == "unixReviewTime" else ("user_id", "product_id", "rating")
    path = tmp_path / "a.jsonl"
    reviews = pd.DataFrame({"user": range(1_500), "product": [1, 2] * 750, "rating": 5.0}).set_axis(names, axis=1)
    lines = reviews.to_json(orient="records", lines=True).splitlines()
    lines[1_200] = lines[1_200].replace("}", f',"{time}":1400000000}}')
    path.write_text("\n".join(lines))
    for read in both(prepared):
        with pytest.raises(ValueError, match=r"1,499 rows with a timestamp that is no time"):
            read(path)


@pytest.mark.parametrize(
    "late", ["", "timestamp", "rating", "nested", "number", "text", "twice", "gap", "cut", "latin"]
)
def test_blocks_that_arrow_reads_are_those_that_python_reads(tmp_path, prepared, monkeypatch, late):
    """Blocks of some lines each; a late one holds what Arrow doesn't read, or not as Python does."""
    monkeypatch.setattr(formats, "BLOCK", 2_000)
    line = (
        '{{"user_id": "u{0}", "product_id": "p{1}", "rating": {2}, "summary": "é {0}\\n", '
        '"tags": ["a", {{"b": {0}}}]{3}}}\n'
    )
    lines = [line.format(n % 31, n % 7, n % 5 + 1, "") for n in range(400)]
    expected = [(f"u{n % 31}", f"p{n % 7}", n % 5 + 1.0) for n in range(400)]
    odd = {
        "timestamp": line.format(1, 2, 3, ', "timestamp": 1600000000'),
        "rating": line.format(1, 2, '"3.5"', ""),
        "nested": line.format(1, 2, 3.5, "").replace('["a"', '["a", [1, "x", null]'),
        "number": line.format(1, 2, 3.5, "").replace('"u1"', "1.0"),
        "text": line.format(1, 2, 3.5, "").replace("é", "\\ud800"),
        "twice": line.format(1, 2, 3.5, ', "text": 1, "text": 2'),
        "gap": line.format(1, 2, "null", ""),
        "cut": line.format(1, 2, 3.5, "")[:-3] + "\n",
        "latin": line.format(1, 2, 3.5, ""),
    }
    if late:
        lines[301] = odd[late]
        expected[301] = ("1" if late == "number" else "u1", "p2", 3.5)
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(row.encode("latin-1" if late == "latin" and "3.5" in row else "utf-8") for row in lines))
    sentence = {
        "timestamp": "has a timestamp in some rows only",
        "text": "line 302 holds half a character",
        "twice": "line 302 can't be understood (it has more than one 'text')",
        "gap": "1 row with a rating that is no number of stars (the first is 'None'), counted from 0: 301",
        "cut": "line 302 is no JSON",
        "latin": NOT_UTF8,
    }.get(late)
    for read in both(prepared):
        if sentence:
            with pytest.raises(ValueError, match=re.escape(sentence)):
                read(path)
        else:
            assert read(path) == expected


def test_arrow_reads_most_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "BLOCK", 2_000)
    taken, by_arrow = [], formats._by_arrow
    monkeypatch.setattr(formats, "_by_arrow", lambda *of: taken.append(by_arrow(*of)) or taken[-1])
    (tmp_path / "a.jsonl").write_bytes(JSON * 100)
    assert len(loaded(tmp_path / "a.jsonl")) == 200
    assert len(taken) > 3
    assert all(table is not None for table in taken)


def test_the_names_of_folders_are_no_columns(tmp_path, prepared):
    folder = tmp_path / "user_id=9" / "rating=1"
    folder.mkdir(parents=True)
    for name, content in (("a.csv", csv()), ("a.jsonl", json()), ("a.parquet", parquet())):
        (folder / name).write_bytes(content)
        for read in both(prepared):
            assert read(folder / name) == three()


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path, prepared):
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "link.csv").symlink_to(tmp_path / "gone.csv")
    for read in both(prepared):
        for name, sentence in (("folder.csv", "is a folder: expected a file"), ("pipe.csv", "is no regular file")):
            with pytest.raises(ValueError, match=f"{name} {sentence}"):
                read(tmp_path / name)
        with pytest.raises(FileNotFoundError, match=r"link\.csv doesn't exist"):
            read(tmp_path / "link.csv")


def test_of_100_000_products_with_one_review_each_all_those_tested_are_new(tmp_path):
    table = pd.DataFrame({"product_id": np.arange(100_000), "rating": 1 + np.arange(100_000) % 5})
    table.assign(user_id=table.index % 20_000).to_csv(tmp_path / "a.csv", index=False)
    train, test = split_at_random(load_reviews(tmp_path / "a.csv"), test_share=0.001)
    board = scoreboard({"popularity": Popularity(train), "damped biases": DampedBiases(train)}, train, test)
    assert (len(train), train["product_id"].nunique(), len(test)) == (99_900, 99_900, 100)
    assert board.attrs["new_product_share"] == 1
    assert board.loc["popularity"].drop("rmse").tolist() == [0] * 5
    # A customer always gives the same stars, s above the mean. A product bought once takes s / 6 of it (damping 5); of
    # the 5 s / 6 that are left, 4 reviews in training give (4 * 5 / 6) / (4 + 5) s to the customer: 17 / 27 s lack.
    expected = 17 / 27 * np.sqrt(((test["rating"] - 3) ** 2).mean())
    assert board.loc["damped biases", "rmse"] == pytest.approx(expected, rel=0.01)
