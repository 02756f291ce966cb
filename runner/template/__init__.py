"""`<< expression >>` in texts: find, check, render (semantics D1 to D11). Pure: no clock, no file, nothing of the machine.

`lexer` decides what is a tag and what is shell, `names` is what a tag may say, `sandbox` is the one Jinja environment with
the functions of `filters`, `syntax` parses with it, `analysis` checks before a run, `rendering` fills in, `trial` does so
with sample dates, `foreign` finds tags of other systems.
A text without a tag comes back as it is and costs no import.
"""

from __future__ import annotations

from typing import AbstractSet, Any, Iterable, List, Mapping, Optional, Set, Tuple

from runner.errors import RunnerError
from runner.template import foreign, lexer
from runner.template.lexer import TemplateFault
from runner.template.names import NAMES, SITE_NAMES, Secret, context, environment

__all__ = [
    "NAMES", "TemplateError", "TemplateFault", "asks_item", "context", "environment", "evaluate", "find_bare_params", "find_expression_faults", "find_faults", "find_lost_variables",
    "Secret", "holds", "references", "render", "site_references",
]  # fmt: skip


class TemplateError(RunnerError):
    """A text cannot be rendered. `faults` are the places inside it."""

    def __init__(self, faults: Iterable[TemplateFault]):
        self.faults = list(faults)
        first = self.faults[0]
        super().__init__(first.message, first.hint)


def find_faults(
    text: str, *, params: Iterable[str] = (), upstream: Optional[AbstractSet[str]] = None, worded: AbstractSet[str] = frozenset(),
    tried: bool = False,
) -> List[TemplateFault]:
    """Everything wrong with the tags of a text, before any run.

    `params`: names of the pipeline's parameters. `upstream`: the steps whose outputs may be read; None leaves that open.
    `worded`: those whose outputs are texts, as far as the file shows. `tried`: what is about dates alone is tried with some.
    """
    names = frozenset(params)
    faults = foreign.find(text, names) if "{{" in text else []
    if lexer.may_hold_tags(text):
        from runner.template import analysis

        faults += analysis.find_faults(text, names, upstream, worded)
        if tried:
            faults += _tried(text, faults)
    return sorted(faults, key=lambda each: (each.line, each.column)) if len(faults) > 1 else faults


def find_expression_faults(
    expression: str, *, params: Iterable[str] = (), upstream: Optional[AbstractSet[str]] = None, worded: AbstractSet[str] = frozenset(),
    condition: bool = False, tried: bool = False,
) -> List[TemplateFault]:
    """The same for a bare expression; `condition`: one that must be true or false, that of `when:`."""
    from runner.template import analysis, trial

    faults = analysis.expression_faults(expression, frozenset(params), upstream, worded, condition)
    more = trial.of_expression(expression, False, condition) if tried and not faults else ()
    return faults + [TemplateFault(1, 1, f"{expression}: {message}", hint) for message, hint in more]


def _tried(text: str, faults: Iterable[TemplateFault]) -> List[TemplateFault]:
    """What fails for every date, but where a fault is known already."""
    from runner.template import trial

    known = {(fault.line, fault.column) for fault in faults}
    return [fault for fault in trial.find_faults(text) if (fault.line, fault.column) not in known]


def find_bare_params(text: str, risky: AbstractSet[str]) -> List[TemplateFault]:
    """Warnings for shell text: these parameters stand in it without quotes and without `| sh`."""
    if not lexer.may_hold_tags(text):
        return []
    from runner.template import quoting

    return quoting.bare_params(text, risky)


def find_lost_variables(text: str, params: AbstractSet[str]) -> List[TemplateFault]:
    """Warnings for shell text: $RUNNER_PARAM_지역, which a shell does not read as one name."""
    if "RUNNER_PARAM_" not in text or all(name.isascii() for name in params):
        return []
    from runner.template import quoting

    return quoting.lost_variables(text, params)


def asks_item(text: str) -> bool:
    """Whether a tag speaks of the item of a mapped step."""
    if "item" not in text or not lexer.may_hold_tags(text):
        return False
    from runner.template import analysis

    return bool({"item", "item_index"} & analysis.names_used(text))


def references(text: str) -> Set[str]:
    """The dotted names that a text's tags use: params.region, outputs.load.rows."""
    if not lexer.may_hold_tags(text):
        return set()
    from runner.template import analysis

    return analysis.references(text)


def site_references(text: str) -> List[Tuple[TemplateFault, Tuple[str, ...]]]:
    """What a text asks the site for: a fault without words, for its place and its tag, and the parts of the dotted name."""
    if not lexer.may_hold_tags(text) or not any(name + "." in text for name in SITE_NAMES):
        return []
    from runner.template import analysis

    places = lexer.Places(text)
    return [(places.fault(offset, shown), path) for offset, path, shown in analysis.site_names(text)]


def render(text: str, context: Mapping[str, Any], *, keep_unknown_outputs: bool = False) -> str:
    """The text with its tags replaced. Raises TemplateError with the place of the tag.

    `keep_unknown_outputs` leaves a tag about an output that nobody has written yet as it stands: for previews.
    """
    if not lexer.may_hold_tags(text):
        return text
    from runner.template import rendering

    return rendering.render(text, context, keep_unknown_outputs, TemplateError)


def evaluate(expression: str, context: Mapping[str, Any]) -> Any:
    """The value of a bare expression, in its own type. Raises TemplateError."""
    from runner.template import rendering

    return rendering.evaluate(expression, context, TemplateError)


def holds(expression: str, context: Mapping[str, Any]) -> bool:
    """Whether a condition is true. A text is what it says, such as `false`; one that says neither raises TemplateError."""
    from runner.template import rendering

    return rendering.evaluate(expression, context, TemplateError, condition=True)
