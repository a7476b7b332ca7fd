"""From a sweep's command line to composed configs: one for each combination of swept group options, and its space."""

from __future__ import annotations

import copy
import itertools
import pickle
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from optuna.trial import FrozenTrial

from sweeps.base import pickling
from sweeps.base.errors import ConfigError
from sweeps.base.say import say
from sweeps.compose import override_text, space_yaml
from sweeps.compose.composed_space import has_key, idle_values, leaves_of
from sweeps.compose.composition_error import composing
from sweeps.compose.leaf import Leaf
from sweeps.compose.plain_run import remove_search_spaces
from sweeps.compose.request import Request
from sweeps.compose.scope import SEARCH_SPACE, package_of
from sweeps.compose.search_space import ROOT, Owner, Proposal, SearchSpace


@dataclass(frozen=True)
class PackedConfig:
    """A composed config as bytes, of which a trial's own is made six times as fast as by `deepcopy`.

    Attributes:
        config: pickled, without `hydra`.
        whole: pickled, with `hydra`, whose interpolations may name any key.
        overrides: what was typed for all trials.
    """

    config: bytes
    whole: bytes
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class Combination:
    """One composed config with its group options, `{"model": "svm", "vectorizer": "tfidf"}`.

    Attributes:
        choices: the option of each group.
        config: composed, with `hydra`.
        keeps_search_space: whether trials see `search_space`; an app's function must not.
    """

    choices: Mapping[str, str]
    config: DictConfig
    keeps_search_space: bool = True

    def option(self, group: str) -> dict[str, Any]:
        """The composed config of a group's option as plain containers."""
        node = OmegaConf.to_container(OmegaConf.select(self.config, package_of(group)), resolve=True)
        return {str(key): value for key, value in node.items()} if isinstance(node, dict) else {}

    @cached_property
    def packed(self) -> PackedConfig:
        """The config for the trials."""
        return self._pack()

    def _pack(self) -> PackedConfig:
        config = copy.deepcopy(self.config)
        if not self.keeps_search_space:
            remove_search_spaces(config)
        hydra = OmegaConf.create({"hydra": OmegaConf.to_container(config.hydra)})  # without Hydra's own classes
        with open_dict(config):
            del config["hydra"]
        return PackedConfig(
            pickling.dumps(config),
            pickling.dumps(_together(hydra, config)),
            tuple(override_text.as_typed(hydra.hydra.overrides.task)),
        )

    def __getstate__(self) -> dict[str, Any]:
        """A worker needs no more than this, and may not be able to pickle what it was sent."""
        packed = self.packed if self.config is None else self._pack()
        return {"choices": self.choices, "config": None, "packed": packed, "keeps_search_space": True}


@dataclass(frozen=True)
class StudyPlan:
    """Everything composed for one study.

    Attributes:
        subject: what the study is of: the option of the scope's study group, or the app's name.
        study_choice: that option by its group; empty where there is no such group.
        combinations: the composed configs, keyed by the options of their groups in order.
        space: the search space over them.
    """

    subject: str
    study_choice: Mapping[str, str]
    combinations: Mapping[tuple[str, ...], Combination]
    space: SearchSpace

    @property
    def config(self) -> DictConfig:
        """The first combination's config: the one that settings and data are read from."""
        return next(iter(self.combinations.values())).config

    @property
    def title(self) -> str:
        """The subject as it is typed: `dataset=reviews`; the app's name where there is nothing to type."""
        return next((f"{group}={option}" for group, option in self.study_choice.items()), self.subject)

    @property
    def strips_search_space(self) -> bool:
        """Whether what trials run must not see `search_space`."""
        return not next(iter(self.combinations.values())).keeps_search_space

    def trial_config(self, proposal: Proposal) -> DictConfig:
        """The config of one trial, without `hydra`."""
        return _with_values(self._combination(proposal).packed.config, proposal)

    def config_of(self, trial: FrozenTrial) -> DictConfig:
        """The config that a finished trial ran, without `hydra`."""
        return self.trial_config(self.space.replay(trial))

    def hydra_config(self, number: int, proposal: Proposal, directory: Path) -> DictConfig:
        """The config of one trial with `hydra`, as of a job in `directory/<number>`."""
        config = _with_values(self._combination(proposal).packed.whole, proposal)
        hydra = config.hydra
        with open_dict(hydra):
            hydra.overrides.task = self.override_texts(proposal)
            hydra.job.id = f"{hydra.job.name}_{number}"
            hydra.job.num = number
            hydra.sweep.dir = str(directory)
            hydra.sweep.subdir = str(number)
        return config

    def override_texts(self, proposal: Proposal) -> list[str]:
        """A trial as overrides: what was typed for all, and what was drawn."""
        drawn = self.space.override_texts(proposal)
        replaced = tuple(f"{text.partition('=')[0]}=" for text in drawn)
        return [text for text in self._combination(proposal).packed.overrides if not text.startswith(replaced)] + drawn

    def _combination(self, proposal: Proposal) -> Combination:
        groups = next(iter(self.combinations.values())).choices
        return self.combinations[tuple(proposal.choices[group] for group in groups)]


def _together(hydra: DictConfig, config: DictConfig) -> DictConfig:
    """The whole config, of `hydra` as a key and of an app's own keys."""
    whole = copy.deepcopy(config)
    with read_write(whole), open_dict(whole):  # the app's config may take no more keys
        whole.hydra = hydra.hydra
    return whole


def _with_values(packed: bytes, proposal: Proposal) -> DictConfig:
    config: DictConfig = pickle.loads(packed)  # noqa: S301 - our own
    for key, value in proposal.values.items():
        is_new = key.startswith("+")
        OmegaConf.update(config, key.lstrip("+"), override_text.stored(value), merge=False, force_add=is_new)
    return config


def names_of(keys: Iterable[str], groups: Iterable[str]) -> dict[str, str]:
    """How hyperparameters are called, by config key: `model.C` is `C`, `lr` is `lr`.

    One whose name stands in more than one place keeps its whole key throughout.

    Args:
        keys: config keys.
        groups: config groups; the name of a key below one begins behind its package.
    """
    packages = sorted((f"{package}." for group in groups if (package := package_of(group))), key=len, reverse=True)
    short = {key: key.removeprefix(next((one for one in packages if key.startswith(one)), "")) for key in keys}
    places: dict[str, int] = {}
    for name in short.values():
        places[name] = places.get(name, 0) + 1
    return {key: name if places[name] == 1 else key for key, name in short.items()}


def plan_study(request: Request, option: str | None, master: DictConfig, config_loader: ConfigLoader) -> StudyPlan:
    """Compose every combination of swept options for one study and collect the search space.

    Args:
        request: the sorted overrides.
        option: of the scope's study group, None for the config's own.
        master: the config that Hydra composed for the sweep.
        config_loader: Hydra's.

    Raises:
        ConfigError: an override that fits no option, or a search space that breaks a rule.
        hydra.errors.HydraException: a combination that does not compose.
    """
    scope = request.scope
    common = [*request.common, *([f"{scope.study_group}={option}"] if option else [])]
    typed = {group: options for group, options in request.options.items() if group != scope.study_group}
    first = _compose(
        common, {group: options[0] for group, options in typed.items()}, {}, request, master, config_loader
    )
    own = first.hydra.runtime.choices
    groups = typed if scope.groups is None else {g: typed.get(g, (str(own[g]),)) for g in scope.groups}

    combinations: dict[tuple[str, ...], Combination] = {}
    unused = {*request.leaf_values, *request.leaf_sweeps}
    for options in itertools.product(*groups.values()):
        choices = dict(zip(groups, options, strict=True))
        chosen = {group: choice for group, choice in choices.items() if group in typed}
        config = _compose(common, chosen, {}, request, master, config_loader)
        values = {key: text for key, text in request.leaf_values.items() if has_key(config, key)}
        if values:
            config = _compose(common, chosen, values, request, master, config_loader)
        unused -= {*values, *(key for key, sweep in request.leaf_sweeps.items() if sweep.adds or has_key(config, key))}
        combinations[options] = Combination(choices, config, keeps_search_space=scope.groups is not None)
    _check_options(first, config_loader)
    if unused:
        raise ConfigError(_unused_message(sorted(unused), list(combinations.values())))
    study_choice = {scope.study_group: str(own[scope.study_group])} if scope.study_group else {}
    subject = next(iter(study_choice.values()), str(first.hydra.job.name))
    space = _space(groups, list(combinations.values()), request)
    _check_sweeps_have_effect(space, request)
    _say_what_has_no_effect(list(combinations.values()), request)
    return StudyPlan(subject, study_choice, combinations, space)


def _space(groups: Mapping[str, tuple[str, ...]], combinations: Sequence[Combination], request: Request) -> SearchSpace:
    """The leaves of every option that some combination has, which must be the same in all that have it.

    An option that a swept one brings with it has its leaves among those of that one.
    """
    leaves = [leaves_of(combination.config, request) for combination in combinations]
    found: dict[Owner, tuple[Leaf, ...]] = {}
    brought: dict[Owner, tuple[Leaf, ...]] = {}
    chosen = [owner for combination in combinations for owner in combination.choices.items()]
    for owner in dict.fromkeys([*chosen, *(owner for own in leaves for owner in own)]):
        group, choice = owner
        having = [
            (combination.choices, own.get(owner, ()))
            for combination, own in zip(combinations, leaves, strict=True)
            if combination.choices.get(group, choice) == choice
        ]
        if all(own == having[0][1] for _, own in having):
            found[owner] = having[0][1]
            continue
        bringing = None if group in groups else _deciding_group(groups, having)
        if bringing is None:
            raise ConfigError(_differs_message(owner, groups, having))
        for option, own in {choices[bringing]: own for choices, own in having}.items():
            brought[bringing, option] = brought.get((bringing, option), ()) + own
    for owner, more in brought.items():
        found[owner] = found.get(owner, ()) + more
    beside = {group: (choice,) for group, choice in found if group and group not in groups}
    order = {owner: own for owner, own in found.items() if owner != ROOT} | {ROOT: found.get(ROOT, ())}
    return SearchSpace({**groups, **beside}, order, request.scope.lead, request.added, frozenset(beside))


def _check_sweeps_have_effect(space: SearchSpace, request: Request) -> None:
    """A typed sweep of a hyperparameter that what is fixed switches off in every trial would do nothing."""
    searched = {leaf.key.lstrip("+") for leaf in space.searched_leaves()}
    idle = [sweep.text for key, sweep in request.leaf_sweeps.items() if key not in searched]
    if idle:
        fixed = ", ".join(f"{key}={value}" for key, value in request.leaf_values.items()) or "the config"
        raise ConfigError(
            f"{', '.join(idle)}: this is never used, since its condition (`when`) does not hold with {fixed}. Leave it "
            f"out, or fix nothing that its condition names."
        )


def _say_what_has_no_effect(combinations: Sequence[Combination], request: Request) -> None:
    """A typed value does nothing where no trial uses it; other options of the same sweep may."""
    if not request.leaf_values:
        return
    idle = [(combination.config, idle_values(combination.config, request)) for combination in combinations]
    for key, value in request.leaf_values.items():
        if all(key in keys for config, keys in idle if has_key(config, key)):
            say(f"Note: {key}={value} is never used, since its condition (`when`) does not hold in any trial.")


def _deciding_group(groups: Iterable[str], having: Sequence[tuple[Mapping[str, str], tuple[Leaf, ...]]]) -> str | None:
    """The swept group whose option decides which of these leaves there are; None if no single one does."""
    for group in groups:
        of_option: dict[str, tuple[Leaf, ...]] = {}
        if all(of_option.setdefault(choices[group], own) == own for choices, own in having):
            return group
    return None


def _differs_message(
    owner: Owner, groups: Iterable[str], having: Sequence[tuple[Mapping[str, str], tuple[Leaf, ...]]]
) -> str:
    group, choice = owner
    what = f"{group}={choice}" if group else "the config"
    source = next((leaf.source for _, own in having for leaf in own), what)
    return (
        f"{source}: the search space of {what} differs between combinations of {', '.join(groups)}; it must not depend "
        f"on more than one of them."
    )


def _check_options(config: DictConfig, config_loader: ConfigLoader) -> None:
    """Every option that `hydra.sweeper.search_space` names exists, if only for another command line."""
    space = config.hydra.sweeper.get(SEARCH_SPACE)
    for key in space if OmegaConf.is_dict(space) else ():
        group, _, option = str(key).rpartition("/")
        options = config_loader.get_group_options(group) if group else [option]
        if option not in options:
            have = f"the options of {group} are {', '.join(options)}" if options else f"there is no group {group}"
            raise ConfigError(f"hydra.sweeper.search_space: {key} does not exist; {have}.")


def _compose(
    common: Sequence[str],
    chosen: Mapping[str, str],
    values: Mapping[str, str],
    request: Request,
    master: DictConfig,
    config_loader: ConfigLoader,
) -> DictConfig:
    options = [f"{'+' if group in request.added else ''}{group}={choice}" for group, choice in chosen.items()]
    texts = [*common, *options, *(f"{key}={value}" for key, value in values.items())]
    folders = [Path(source.path) for source in master.hydra.runtime.config_sources if source.schema == "file"]
    with composing(
        override_text.as_typed(master.hydra.overrides.task), folders, is_ours=request.scope.groups is not None
    ):
        return config_loader.load_sweep_config(master, texts)


def _unused_message(unused: Sequence[str], combinations: Sequence[Combination]) -> str:
    lines = []
    for key in unused:
        group = next((g for g in combinations[0].choices if key.startswith(f"{package_of(g)}.")), None)
        if group is None:
            lines.append(f"The config has no key {key!r} to sweep; the keys beside it are shown by --cfg job.")
            continue
        name = key.removeprefix(f"{package_of(group)}.")
        known = {c.choices[group]: ", ".join(space_yaml.flatten(c.option(group))) or "none" for c in combinations}
        lines.append(f"No option of {group} has the key {name!r}. Their keys: ")
        lines += [f"  {group}={choice}: {keys}" for choice, keys in known.items()]
        lines.append(f"To search it, write its default, `{name}: VALUE`, into the option's YAML file.")
    return "\n".join(lines)
