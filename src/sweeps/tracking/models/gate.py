"""Whether a new version becomes champion: the rules, on what is known of it and of the incumbent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sweeps.base.predictions import Predictions
from sweeps.compose.settings import Promote
from sweeps.tasks.comparison import Comparison, Measured, compare_measured
from sweeps.tasks.metrics import Direction, is_better

N_COMPARISONS = "sweeps.gate.comparisons"  # tag of a version that was compared on its test part
SURE = 0.95
"""P(better) from which the evidence decides."""


@dataclass(frozen=True)
class Contender:
    """What the gate knows of a version.

    Attributes:
        version: its number.
        test: its score on the test part; None where it has none.
        val: its score inside the training part; None where it has none.
        evaluation_id: equal for versions whose `test_` scores compare.
        selection_id: equal for versions whose `val_` scores compare, too.
        predictions: of each fold and of the test part; empty where none are kept.
        n_trials: that it was chosen from; None where that is not known.
    """

    version: str
    test: float | None
    val: float | None
    evaluation_id: str
    selection_id: str
    predictions: Sequence[Predictions] = ()
    n_trials: int | None = None

    @property
    def measured(self) -> Measured:
        """For a comparison of predictions."""
        scores = {part: score for part, score in (("val", self.val), ("test", self.test)) if score is not None}
        return Measured(f"version {self.version}", scores, self.predictions, self.n_trials)


@dataclass(frozen=True)
class Verdict:
    """What a rule says.

    Attributes:
        promoted: whether the new version becomes champion.
        why: in words, for the middle of a sentence.
        comparison: of the predictions; None where they cannot be compared.
        is_comparable: whether the two were measured on the same test part.
    """

    promoted: bool
    why: str
    comparison: Comparison | None = None
    is_comparable: bool = True

    def figures(self) -> str:
        """The difference and how sure it is, as a sentence; empty without a comparison."""
        return "" if self.comparison is None else self.comparison.shown()


@dataclass(frozen=True)
class Gate:
    """Decides between a new version and the incumbent.

    Attributes:
        rule: `auto` (better inside the training part and not worse on test) or `evidence` (P(better) of at least 0.95).
        test_metric: the metric on test.
        val_metric: the metric inside the training part.
        direction: which way both are better.
        positive_label: the label, as text, that precision, recall and F1 are of; None where there is none.
    """

    rule: Promote
    test_metric: str
    val_metric: str
    direction: Direction
    positive_label: str | None = None

    def decide(self, mine: Contender, theirs: Contender) -> Verdict:
        """Whether the new version, `mine`, becomes champion in the place of the incumbent, `theirs`."""
        is_same = bool(mine.evaluation_id) and mine.evaluation_id == theirs.evaluation_id
        if not is_same or mine.test is None or theirs.test is None:
            return self._not_comparable(mine, theirs)
        if mine.selection_id != theirs.selection_id or mine.val is None or theirs.val is None:
            return self._on_test_alone(mine, theirs, mine.test, theirs.test)
        test = self._told(self.test_metric, mine, theirs, mine.test, theirs.test)
        val = self._told(self.val_metric, mine, theirs, mine.val, theirs.val)
        comparison = self._compared(mine.measured, theirs.measured)
        if self.rule is Promote.evidence:
            return self._by_evidence(comparison, f"{val}; {test}")
        known = comparison if isinstance(comparison, Comparison) else None
        if not is_better(mine.val, theirs.val, self.direction):
            why = "a tie keeps it" if mine.val == theirs.val else "it is better inside the training part"
            return Verdict(False, f"{why}: {val}; {test}", known)
        if is_better(theirs.test, mine.test, self.direction):
            return Verdict(False, f"it is better on test: {test}; {val}", known)
        return Verdict(True, f"better inside the training part and not worse on test: {val}; {test}", known)

    def _not_comparable(self, mine: Contender, theirs: Contender) -> Verdict:
        metric = self.test_metric or "a test score"
        mine_has, theirs_has = ("none" if one.test is None else f"{one.test:.6g}" for one in (mine, theirs))
        return Verdict(
            promoted=False,
            why=f"it was measured on other data, another split or another metric, so the scores are not comparable "
            f"({metric}: version {mine.version} has {mine_has}, version {theirs.version} has {theirs_has})",
            is_comparable=False,
        )

    def _by_evidence(self, comparison: Comparison | str, scores: str, where: str = "") -> Verdict:
        if isinstance(comparison, str):
            return Verdict(False, f"there is no evidence{where}: {comparison}")
        is_sure = comparison.p_better >= SURE
        sure = f"P(better) is {'at least' if is_sure else 'below'} {SURE}{where}"
        return Verdict(is_sure, f"{sure}: {scores}", comparison)

    def _on_test_alone(self, mine: Contender, theirs: Contender, my_score: float, their_score: float) -> Verdict:
        """Where folds or metric settings differ, test rows decide under either rule, by evidence if there is any."""
        scores = self._told(self.test_metric, mine, theirs, my_score, their_score)
        where = " on test alone, as the two were not selected on the same folds"
        comparison = self._compared(mine.measured.on("test"), theirs.measured.on("test"))
        if isinstance(comparison, Comparison) or self.rule is Promote.evidence:
            return self._by_evidence(comparison, scores, where)
        if is_better(my_score, their_score, self.direction):
            return Verdict(True, f"better{where}, and {comparison}: {scores}")
        same = "a tie keeps it" if my_score == their_score else "it is better"
        return Verdict(False, f"{same}{where}, and {comparison}: {scores}")

    def _compared(self, mine: Measured, theirs: Measured) -> Comparison | str:
        """The new version has to prove itself: all that choosing it adds to its `val_` score is taken off."""
        if mine.n_trials is not None:
            theirs = replace(theirs, n_trials=1)
        return compare_measured(mine, theirs, self.test_metric, self.direction, self.positive_label)

    @staticmethod
    def _told(metric: str, mine: Contender, theirs: Contender, my_score: float, their_score: float) -> str:
        return f"version {mine.version} has {metric} {my_score:.6g}, version {theirs.version} {their_score:.6g}"


def figures_as_tags(verdict: Verdict, theirs: Contender, n_comparisons: int) -> Mapping[str, str]:
    """What a version keeps of the gate's decision about it.

    Args:
        verdict: on it.
        theirs: the champion that it was compared with.
        n_comparisons: that its test part has served, this one included.
    """
    tags = {"sweeps.incumbent.version": theirs.version}
    if theirs.test is not None:
        tags["sweeps.incumbent.score"] = repr(theirs.test)
    if theirs.n_trials is not None:
        tags["sweeps.incumbent.n_trials"] = str(theirs.n_trials)
    if verdict.is_comparable:
        tags[N_COMPARISONS] = str(n_comparisons)
    if verdict.comparison is not None:
        for name, value in vars(verdict.comparison).items():
            tags[f"sweeps.gate.{name}"] = repr(value)
    return tags
