"""The shared corpus: 209 threads, 13 reports, 16 attachments, judged as every implementation must judge them."""

from typing import Any

import pytest
from e2ee_corpus import CaseDirectory, corpus, fits, run

from portal.e2ee.attachments import open_bytes
from portal.e2ee.encoding import sha256, unb64
from portal.e2ee.franking import verify_report
from portal.e2ee.reasons import Refused


def named(cases: list[Any]) -> list[Any]:
    return [pytest.param(case, id=case["name"].split(" ")[0]) for case in cases]


@pytest.mark.parametrize("case", named(corpus()["corpus"]))
def test_a_thread_is_judged_as_the_corpus_says(case: Any) -> None:
    outcome = run(case, corpus()["thread"], corpus()["me"])
    assert fits(case, outcome), (case["name"], outcome)


@pytest.mark.parametrize("case", named(corpus()["reports"]))
def test_a_report_is_judged_as_the_corpus_says(case: Any) -> None:
    base = next(it for it in corpus()["corpus"] if it["name"].split(" ")[0] == corpus()["report_case"])
    directory = CaseDirectory(base["directory"], case.get("certs", base["certs"]))
    if case["expect"] == "ok":
        assert verify_report(case["report"], directory).body == case["report"]["body"]
    else:
        with pytest.raises(Refused):
            verify_report(case["report"], directory)


@pytest.mark.parametrize("case", named(corpus()["atts"]))
def test_an_attachment_is_judged_as_the_corpus_says(case: Any) -> None:
    stored, key, context = (unb64(case[name]) for name in ("blob", "key", "ctx"))
    if case["expect"] == "ok":
        content = open_bytes(stored, key, context)
        assert (len(content), sha256(content)) == (case["size"], unb64(case["sha"]))
    else:
        with pytest.raises(Refused):
            open_bytes(stored, key, context)


def test_the_corpus_is_whole() -> None:
    whole = corpus()
    assert [len(whole[name]) for name in ("corpus", "reports", "atts")] == [209, 13, 16]
