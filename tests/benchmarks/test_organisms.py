"""The table of organisms in the documentation is made from its record."""

import json

from benchmarks import organisms


def test_the_page_shows_the_record():
    record = json.loads(organisms.RECORD.read_text(encoding="utf-8"))
    page = organisms.PAGE.read_text(encoding="utf-8")
    told = page.split(organisms.START)[1].split(organisms.END)[0].strip()
    assert told == organisms.table(record)


def test_a_row_says_how_many_of_what_was_found_are_the_process_own():
    entry = {
        "organism": "apart",
        "kind": "head",
        "process": "retrieval",
        "size": 4,
        "inside": 3,
        "score": 0.5,
        "share": 0.9,
        "auroc": 0.75,
        "interval": [0.5, 1.0],
        "positives": 4,
    }
    row = organisms.table([entry]).splitlines()[-1]
    assert row == "| `apart`, heads | retrieval | 4, 3 | 0.50 | 0.90 | 0.75 [0.50, 1.00] |"
