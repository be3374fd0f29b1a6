"""Stories of panels that are made once for each who looks, and go with the context they were made of."""

import gc
import weakref
from datetime import date

from ehr_fakes import context_of

from portal.accounts.policy import Sight
from portal.web.api.rendered import Panels

TODAY = date(2026, 11, 24)


def test_a_panel_is_made_once_for_each_who_looks() -> None:
    panels, made = Panels(), []
    alice = context_of("alice")

    def ask(sight: Sight, language: str, day: date = TODAY) -> str:
        return panels.of(alice, (sight, language, day), lambda: made.append((sight, language)) or {"n": len(made)}).body

    assert ask(Sight.WHOLE, "en") == ask(Sight.WHOLE, "en") == '{"n": 1}'
    assert ask(Sight.DESK, "en") == '{"n": 2}'
    assert ask(Sight.WHOLE, "es") == '{"n": 3}'
    assert ask(Sight.WHOLE, "en", date(2026, 11, 25)) == '{"n": 4}'
    assert made == [(Sight.WHOLE, "en"), (Sight.DESK, "en"), (Sight.WHOLE, "es"), (Sight.WHOLE, "en")]


def test_another_patients_panel_is_never_given() -> None:
    panels = Panels()
    for name in ("alice", "dave", "alice"):
        context = context_of(name)
        assert (
            panels.of(context, (Sight.WHOLE, "en", TODAY), lambda name=name: {"of": name}).body == f'{{"of": "{name}"}}'
        )
        # The next context may lie where this one lay.
        del context


def test_nothing_outlives_the_context() -> None:
    panels = Panels()
    context = context_of("alice")
    panels.of(context, (Sight.WHOLE, "en", TODAY), dict)
    gone = weakref.ref(context)
    del context
    gc.collect()
    assert gone() is None
    assert panels._made == {}
