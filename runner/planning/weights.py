"""The weight by which a step competes for slots. Pure."""

from __future__ import annotations

from typing import Dict, List, Mapping, Sequence

from runner.model import Pipeline


def weights(pipeline: Pipeline) -> Dict[str, int]:
    """Step -> the weight by which it competes for slots.

    weight_rule absolute: its own; downstream: with those of all that follow it, near or far; upstream: of all before it.
    """
    own = {step.id: step.priority_weight for step in pipeline.steps}
    if pipeline.weight_rule == "absolute":
        return own
    edges: Dict[str, List[str]] = {step.id: [] for step in pipeline.steps}
    for step in pipeline.steps:
        for need in step.needs:
            if pipeline.weight_rule == "downstream":
                edges[need].append(step.id)
            else:
                edges[step.id].append(need)
    reach: Dict[str, int] = {}  # as bits by position in the file: a whole set in one number, joined by `|`
    bit = {step.id: 1 << i for i, step in enumerate(pipeline.steps)}
    for step_id in _far_first(edges):
        reach[step_id] = bit[step_id]
        for other in edges[step_id]:
            reach[step_id] |= reach[other]
    if set(own.values()) == {1}:
        return {step_id: bin(bits).count("1") for step_id, bits in reach.items()}
    ordered = [step.priority_weight for step in pipeline.steps]
    return {step_id: sum(w for i, w in enumerate(ordered) if bits >> i & 1) for step_id, bits in reach.items()}


def _far_first(edges: Mapping[str, Sequence[str]]) -> List[str]:
    """Each after all that its edges lead to; no recursion, a chain may hold thousands."""
    out: List[str] = []
    left = {step_id: len(others) for step_id, others in edges.items()}
    back: Dict[str, List[str]] = {step_id: [] for step_id in edges}
    for step_id, others in edges.items():
        for other in others:
            back[other].append(step_id)
    queue = [step_id for step_id, count in left.items() if not count]
    while queue:
        step_id = queue.pop()
        out.append(step_id)
        for other in back[step_id]:
            left[other] -= 1
            if not left[other]:
                queue.append(other)
    return out
