"""The tests stand in the rooms of the code, so that a reader of a module finds what is claimed of it."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]

TESTED_BY = {
    # Errors and plain data: what raises or fills them is tested.
    "solver/errors.py": "solver/hedging/test_problem.py",
    "stream/events/types.py": "stream/events/test_decode.py",
    "schemas/answers.py": "stream/cli/test_answers.py",
    "schemas/inbound.py": "schemas/test_golden.py",
    "schemas/internal.py": "schemas/test_golden.py",
    "schemas/topics.py": "schemas/test_asyncapi.py",
    "stream/engine/runtime.py": "stream/engine/market/test_refits.py",
    # Kernels and their machinery: the method that they serve is held against enumeration or another solver.
    "solver/hedging/lines.py": "solver/hedging/test_bound.py",
    "solver/hedging/search.py": "solver/hedging/test_solve.py",
    "solver/kernels/compiled.py": "solver/test_warm.py",
    "solver/market_making/dealer.py": "solver/market_making/test_value.py",
    "solver/market_making/grid.py": "solver/market_making/test_value.py",
    "solver/market_making/internalise.py": "solver/market_making/test_value.py",
    "solver/market_making/quadratic.py": "solver/market_making/test_value.py",
    "solver/packing/bounds.py": "solver/packing/test_problem.py",
    "solver/packing/elapsed.py": "solver/packing/methods/test_methods.py",
    "solver/packing/evaluation.py": "solver/packing/test_problem.py",
    "solver/packing/incumbent.py": "solver/packing/methods/test_exact.py",
    "solver/packing/result.py": "solver/packing/test_problem.py",
    "solver/packing/boxes/depth_first.py": "solver/packing/methods/test_methods.py",
    "solver/packing/boxes/repair.py": "solver/packing/methods/test_methods.py",
    "solver/packing/determinant/solve.py": "solver/packing/determinant/test_determinant.py",
    "solver/packing/determinant/sums.py": "solver/packing/determinant/test_determinant.py",
    "solver/packing/lattice/sphere_search.py": "solver/packing/quadratic/test_relaxation.py",
    "solver/packing/methods/chains.py": "solver/packing/methods/test_anneal.py",
    "solver/packing/methods/enumerate.py": "solver/packing/methods/test_methods.py",
    "solver/packing/methods/greedy.py": "solver/packing/methods/test_methods.py",
    "solver/packing/methods/incremental.py": "solver/packing/methods/test_methods.py",
    "solver/packing/methods/local_search.py": "solver/packing/methods/test_methods.py",
    "solver/packing/quadratic/active_set.py": "solver/packing/quadratic/test_relaxation.py",
    "solver/packing/quadratic/ball.py": "solver/packing/quadratic/test_relaxation.py",
    "solver/packing/quadratic/branch_and_bound.py": "solver/packing/methods/test_exact.py",
    "solver/packing/quadratic/metric.py": "solver/packing/quadratic/test_relaxation.py",
    "solver/packing/quadratic/polish.py": "solver/packing/methods/test_exact.py",
    "solver/packing/quadratic/principal_pivots.py": "solver/packing/quadratic/test_relaxation.py",
    **{
        f"solver/packing/volume/{name}.py": "solver/packing/volume/test_volume.py"
        for name in ("ball", "best_first", "bound", "descent", "nodes", "precision")
    },
    "solver/packing/volume/scaling.py": "solver/packing/volume/test_volume.py",
    "solver/packing/volume/solve.py": "solver/packing/volume/test_volume.py",
    "solver/packing/volume/terms.py": "solver/packing/volume/test_volume.py",
    "solver/reversion/refits/refit.py": "solver/reversion/refits/test_rolling.py",
    "solver/reversion/refits/stretches.py": "solver/reversion/refits/test_rolling.py",
    # The engine's book: published messages are held, field by field, against an oracle that uses none of this code.
    "stream/engine/dead_letter.py": "stream/engine/test_step_inputs.py",
    "stream/engine/refusals/state.py": "stream/engine/refusals/test_rules.py",
    **{
        f"stream/engine/market/plausibility/{name}.py": "stream/engine/market/plausibility/test_jumps.py"
        for name in ("close", "gate", "state")
    },
    "stream/engine/market/message.py": "stream/engine/test_step_models.py",
    "stream/engine/book/client_flow.py": "stream/engine/book/test_quote_skew.py",
    "stream/engine/book/solve.py": "stream/engine/test_step_residuals.py",
    "stream/engine/book/solved.py": "stream/engine/test_step_residuals.py",
    "stream/engine/book/standing.py": "stream/engine/book/test_decide.py",
    "stream/engine/book/state.py": "stream/engine/book/test_suggest.py",
    "stream/engine/book/messages/efficient_hedges.py": "stream/web/test_questions.py",
    "stream/engine/book/messages/quote_skew.py": "stream/engine/book/test_quote_skew.py",
    "stream/engine/book/messages/residual_exposure.py": "stream/engine/test_step_residuals.py",
    "stream/engine/book/messages/suggestion.py": "stream/engine/test_step_suggestions.py",
    # Entry points and what talks to a broker: run whole, on Apache Kafka or as a command.
    "stream/cli/client.py": "stream/cli/test_answers.py",
    "stream/cli/frontier_table.py": "stream/cli/test_answers.py",
    "stream/cli/what_if_table.py": "stream/cli/test_answers.py",
    **{
        f"stream/cli/{name}.py": "stream/cli/test_main.py"
        for name in ("options", "question_commands", "service_commands", "study_commands", "terminal", "trial_commands")
    },
    "stream/config/checks.py": "stream/config/test_load.py",
    "stream/demo/run.py": "integration/test_service.py",
    "stream/kafka/consume.py": "integration/test_consume.py",
    "stream/kafka/local/broker.py": "integration/test_broker.py",
    "stream/kafka/publish.py": "integration/test_publish.py",
    "stream/kafka/topics.py": "integration/test_topics.py",
    "stream/kafka/watch.py": "integration/test_watch.py",
    "stream/testing/bare_consumer.py": "integration/test_service.py",
    "stream/worker/recover.py": "simulation/test_crash.py",
    "stream/worker/service.py": "integration/test_service.py",
    # Studies and benchmarks: a whole run on small cases, with every figure looked at.
    "stream/bench/run.py": "integration/test_service.py",
    **{
        f"stream/bench/models/gate/{name}.py": "stream/bench/models/gate/test_run.py"
        for name in ("alarms", "cost", "courses", "faults")
    },
    "stream/bench/models/replay.py": "stream/bench/models/test_pegs.py",
    "stream/bench/models/speed.py": "stream/bench/models/test_run.py",
    "stream/bench/packing/anneal.py": "stream/bench/packing/test_run.py",
    "stream/bench/packing/live.py": "stream/bench/packing/test_run.py",
    "stream/bench/packing/warm_start.py": "stream/bench/packing/test_run.py",
    **{f"stream/bench/stream/{name}.py": "integration/test_service.py" for name in ("asker", "echo", "run", "what_if")},
    "stream/bench/studies/desk.py": "stream/studies/desk/test_run.py",
    "stream/studies/desk/command.py": "stream/studies/desk/test_run.py",
    "stream/studies/desk/service_in_process.py": "stream/studies/desk/test_simulate.py",
    "stream/studies/desk/universe.py": "stream/studies/desk/test_simulate.py",
    **{f"stream/studies/read/{name}.py": "stream/studies/test_read.py" for name in ("currencies", "prices")},
    "stream/studies/read/quotes.py": "stream/bench/models/test_venues.py",
    "stream/studies/report/page.py": "stream/studies/validate/test_report.py",
    "stream/studies/report/plot_style.py": "stream/studies/validate/test_report.py",
    **{
        f"stream/studies/validate/{name}.py": "stream/studies/validate/test_run.py"
        for name in ("cells", "findings", "summary", "tables", "vectors")
    },
    **{
        f"stream/studies/validate/second_opinion/{name}.py": "stream/studies/validate/test_second_opinion.py"
        for name in ("answers", "betas", "differences", "equality", "opinion", "ranks", "reference", "shown", "window")
    },
    "stream/studies/validate/plots.py": "stream/studies/validate/test_report.py",
}
"""Modules without a test file of their name, and the file that tests what they are for."""


def defines_something_public(path: Path) -> bool:
    """Whether the module has a function or class for others: constants alone need no test."""
    kinds = ast.FunctionDef | ast.ClassDef
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return any(isinstance(node, kinds) and not node.name.startswith("_") for node in tree.body)


def without_a_test_of_its_name() -> set[str]:
    modules = [path for top in ("stream", "solver", "schemas") for path in (ROOT / top).rglob("*.py")]
    return {
        str(path.relative_to(ROOT))
        for path in modules
        if not path.name.startswith("__")
        and defines_something_public(path)
        and not (ROOT / "tests" / path.relative_to(ROOT).parent / f"test_{path.name}").exists()
    }


def test_every_module_has_a_test_of_its_name_or_one_that_stands_in() -> None:
    """A new module needs a test file in the same room, or a line in the table; a line that is not needed goes."""
    assert without_a_test_of_its_name() == set(TESTED_BY)


def test_what_stands_in_is_there() -> None:
    """Every file that the table names exists."""
    assert not [name for name in TESTED_BY.values() if not (ROOT / "tests" / name).is_file()]
