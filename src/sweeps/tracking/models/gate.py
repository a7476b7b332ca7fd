"""Whether a new version becomes champion: the rules, on what is known of it and of the incumbent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sweeps.base.predictions import Predictions
from sweeps.compose.settings import Promote
from sweeps.tasks.comparison import Comparison, compare, find_score, same_rows
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

    def scores(self) -> dict[str, float]:
        """Its scores by part."""
        return {part: score for part, score in (("val", self.val), ("test", self.test)) if score is not None}

    def on_test(self) -> Contender:
        """What is known of it on the test part alone."""
        predictions = [one for one in self.predictions if one.part == "test"]
        return Contender(self.version, self.test, None, self.evaluation_id, "", predictions, self.n_trials)


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
            metric = self.test_metric or "a test score"
            mine_has, theirs_has = ("none" if one.test is None else f"{one.test:.6g}" for one in (mine, theirs))
            return Verdict(
                promoted=False,
                why=f"it was measured on other data, another split or another metric, so the scores are not comparable "
                f"({metric}: version {mine.version} has {mine_has}, version {theirs.version} has {theirs_has})",
                is_comparable=False,
            )
        if mine.selection_id != theirs.selection_id or mine.val is None or theirs.val is None:
            return self._on_test_alone(mine, theirs)
        comparison, why_not = self._compared(mine, theirs)
        if self.rule is Promote.evidence:
            return self._by_evidence(mine, theirs, comparison, why_not)
        return self._by_scores(mine, theirs, comparison)

    def _by_scores(self, mine: Contender, theirs: Contender, comparison: Comparison | None) -> Verdict:
        """Better inside the training part, and not worse on test."""
        assert mine.val is not None and theirs.val is not None  # noqa: S101, PT018 - for mypy: looked at before
        assert mine.test is not None and theirs.test is not None  # noqa: S101, PT018
        val = self._told(self.val_metric, mine, theirs, mine.val, theirs.val)
        test = self._told(self.test_metric, mine, theirs, mine.test, theirs.test)
        if not is_better(mine.val, theirs.val, self.direction):
            why = "a tie keeps it" if mine.val == theirs.val else "it is better inside the training part"
            return Verdict(False, f"{why}: {val}; {test}", comparison)
        if is_better(theirs.test, mine.test, self.direction):
            return Verdict(False, f"it is better on test: {test}; {val}", comparison)
        return Verdict(True, f"better inside the training part and not worse on test: {val}; {test}", comparison)

    def _by_evidence(
        self, mine: Contender, theirs: Contender, comparison: Comparison | None, why_not: str, where: str = ""
    ) -> Verdict:
        if comparison is None:
            return Verdict(False, f"there is no evidence{where}: {why_not}")
        p = comparison.p_better
        sure = f"P(better) is {'at least' if p >= SURE else 'below'} {SURE}{where}"
        scores = [self._told(self.test_metric, mine, theirs, mine.test, theirs.test)]
        if mine.val is not None and theirs.val is not None:
            scores.insert(0, self._told(self.val_metric, mine, theirs, mine.val, theirs.val))
        return Verdict(p >= SURE, f"{sure}: {'; '.join(scores)}", comparison)

    def _on_test_alone(self, mine: Contender, theirs: Contender) -> Verdict:
        """Where folds or metric settings differ, test rows decide under either rule."""
        mine, theirs = mine.on_test(), theirs.on_test()
        comparison, why_not = self._compared(mine, theirs)
        where = " on test alone, as the two were not selected on the same folds"
        if comparison is None and self.rule is Promote.auto:
            assert mine.test is not None and theirs.test is not None  # noqa: S101, PT018 - for mypy: looked at before
            told = self._told(self.test_metric, mine, theirs, mine.test, theirs.test)
            if is_better(mine.test, theirs.test, self.direction):
                return Verdict(True, f"better{where}, and {why_not}: {told}")
            same = "a tie keeps it" if mine.test == theirs.test else "it is better"
            return Verdict(False, f"{same}{where}, and {why_not}: {told}")
        return self._by_evidence(mine, theirs, comparison, why_not, where)

    def _compared(self, mine: Contender, theirs: Contender) -> tuple[Comparison | None, str]:
        """The comparison of the predictions, or why there is none."""
        for one in (mine, theirs):
            if not one.predictions:
                return None, f"no predictions of version {one.version} are kept"
        if not same_rows(mine.predictions, theirs.predictions):
            return None, "the predictions that are kept are of other rows"
        reported = [(one.predictions, one.scores()) for one in (mine, theirs)]
        score = find_score(reported, self.test_metric, self.direction, self.positive_label)
        if score is None:
            return None, f"{self.test_metric} does not follow from the predictions that are kept"
        return compare(mine.predictions, theirs.predictions, score), ""

    def _told(self, metric: str, mine: Contender, theirs: Contender, my: float | None, their: float | None) -> str:
        return f"version {mine.version} has {metric} {my:.6g}, version {theirs.version} {their:.6g}"


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
