"""Every semi-private name of Hydra that we touch, in one place. Read in the source of 1.3.8 and 1.4.0rc3."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, chdir, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra import initialize, initialize_config_dir, initialize_config_module, version
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobRuntime, JobStatus, configure_log
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from sweeps.base.redact import without_passwords
from sweeps.compose.composition_error import composing
from sweeps.compose.override_text import as_typed

_LIKE_A_NUMBER = re.compile(r"[-+]?\.?\d[\d_.eE+-]*")
BASIC_LAUNCHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"  # of `hydra/launcher: basic`, the default


# Hydra 1.3 warns where its version is not named, 1.4 where it is.
VERSION: dict[str, Any] = {"version_base": "1.3"} if hydra.__version__ < "1.4" else {}


@contextmanager
def composed_for_sweep(
    config_dir: Path | None, config_module: str | None, config_name: str, job_name: str, overrides: Sequence[str]
) -> Iterator[tuple[DictConfig, HydraContext]]:
    """What Hydra composes for a sweep, as `hydra.main` does for `-m`, inside a `with` block.

    The caller may have a Hydra of its own, in a notebook say, or inside a job: it is as it was afterwards.

    Args:
        config_dir: an absolute folder with the primary config; None for `config_module`, or for a registered config.
        config_module: the same as a package.
        config_name: of the primary config.
        job_name: `hydra.job.name`.
        overrides: as typed.

    Raises:
        ConfigError: it does not compose.
    """
    with _hydra_of_its_own():
        source: AbstractContextManager[None]
        if config_dir is not None:
            source = initialize_config_dir(str(config_dir), job_name, **VERSION)
        elif config_module is not None:
            source = initialize_config_module(config_module, job_name, **VERSION)
        else:
            source = initialize(None, job_name, **VERSION)
        with source:
            loader = GlobalHydra.instance().config_loader()
            with composing(overrides, [config_dir] if config_dir else [], is_ours=config_module is not None):
                config = loader.load_configuration(config_name, [*overrides, "hydra.mode=MULTIRUN"], RunMode.MULTIRUN)
            context = HydraContext(config_loader=loader, callbacks=Callbacks(config))
            context.callbacks.on_multirun_start(config=config, config_name=config_name)
            yield config, context
            context.callbacks.on_multirun_end(config=config, config_name=config_name)


def running_context() -> HydraContext:
    """The context of the Hydra that runs in this process, without its callbacks."""
    return HydraContext(config_loader=GlobalHydra.instance().config_loader(), callbacks=Callbacks())


@contextmanager
def _hydra_of_its_own() -> Iterator[None]:
    """Put back what the process's Hydra was, and the root logger, which jobs in this process configure."""
    kept, base, name = GlobalHydra.instance(), version.getbase(), JobRuntime.instance().get("name")
    hydra = kept.hydra
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    kept.clear()
    try:
        yield
    finally:
        GlobalHydra.set_instance(kept)
        kept.hydra = hydra
        version.VersionBase.instance().version_base = base
        JobRuntime.instance().set("name", name)
        for handler in set(root.handlers).difference(handlers):
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)


def run_trial_job(
    config: DictConfig, hydra_config: DictConfig, task_function: TaskFunction, hydra_context: HydraContext
) -> Any:
    """Run a task function as a Hydra job in its own folder (`hydra.sweep.dir`/`hydra.sweep.subdir`).

    It does what `hydra.core.utils.run_job` does, which copies the whole config four times and writes it with the slow
    YAML library: some 40 ms a trial.

    Args:
        config: the composed config without `hydra`; the task function's own.
        hydra_config: the same with `hydra`.

    Returns:
        What the task function returned; what it raised is raised.
    """
    hydra = hydra_config.hydra
    folder = Path(hydra.sweep.dir, hydra.sweep.subdir).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    hydra.runtime.output_dir = str(folder)
    before = HydraConfig.instance().cfg
    HydraConfig.instance().cfg = hydra_config  # type: ignore[assignment]  # declared HydraConf, holds a DictConfig
    callbacks = hydra_context.callbacks
    try:
        if hydra.output_subdir is not None:
            _store(folder / hydra.output_subdir, config, hydra)
        with chdir(folder) if _changes_directory(hydra.job.chdir) else nullcontext(), _environment(hydra.job.env_set):
            configure_log(hydra.job_logging, hydra.verbose)
            callbacks.on_job_start(config=hydra_config, task_function=task_function)
            returned = JobReturn(overrides=as_typed(hydra.overrides.task), cfg=config, hydra_cfg=hydra_config)
            try:
                returned.return_value, returned.status = task_function(config), JobStatus.COMPLETED
            except Exception as error:
                returned.return_value, returned.status = error, JobStatus.FAILED
                raise
            finally:
                for handler in logging.getLogger().handlers:
                    handler.flush()
                callbacks.on_job_end(config=hydra_config, job_return=returned)
    finally:
        HydraConfig.instance().cfg = before
    return returned.return_value


def _changes_directory(chdir: bool | None) -> bool:
    """Whether a job runs in its folder: Hydra has a default for `hydra.job.chdir=null`, by the app's `version_base`."""
    return not version.base_at_least("1.2") if chdir is None else chdir


@contextmanager
def hydra_config_of(config: DictConfig) -> Iterator[None]:
    """Have `${hydra:...}` resolve as in the first job of a composed config."""
    whole = copy.deepcopy(config)  # with the app's own keys, which `hydra` may name
    hydra = whole.hydra
    before = HydraConfig.instance().cfg
    HydraConfig.instance().cfg = whole  # type: ignore[assignment]  # declared HydraConf, holds a DictConfig
    try:
        with read_write(hydra), open_dict(hydra):
            hydra.job.id, hydra.job.num = f"{hydra.job.name}_0", 0
            hydra.sweep.subdir = "0"
            hydra.runtime.output_dir = str(Path(hydra.sweep.dir, "0").absolute())
        yield
    finally:
        HydraConfig.instance().cfg = before


def value_of(job: JobReturn) -> Any:
    """What a launcher's job returned; what it raised is raised."""
    with contextlib.redirect_stderr(io.StringIO()):  # reading a failed job's value prints; the sweep reports failures
        return job.return_value


def redact_folder(folder: Path) -> None:
    """Launchers have Hydra store a job's config and overrides as they are; no password shall stay in them.

    Args:
        folder: of the job's files, `hydra.output_subdir` in its own.
    """
    for file in folder.glob("*.yaml"):
        stored = file.read_text(encoding="utf-8")
        redacted = without_passwords(stored)
        if redacted != stored:
            file.write_text(redacted, encoding="utf-8")


def launcher_of(config: DictConfig, folder: Path, hydra_context: HydraContext, task_function: TaskFunction) -> Launcher:
    """The launcher that a composed config names.

    Launchers pickle their config to files and say their overrides aloud, so it does not hold the study's database.

    Args:
        config: of any trial.
        folder: the study's, where the launcher keeps files of its own.
        hydra_context: Hydra's config loader and callbacks.
        task_function: runs one trial's config.
    """
    config = copy.deepcopy(config)
    with read_write(config), open_dict(config):
        config.storage = config.hydra.sweeper.storage = None
        config.hydra.sweep.dir = str(folder)
        config.hydra.overrides.task = without_storage(as_typed(config.hydra.overrides.task))
        config.hydra.overrides.hydra = without_storage(as_typed(config.hydra.overrides.hydra))
        config.hydra.job.override_dirname = ""  # each job has one of its own
    return Plugins.instance().instantiate_launcher(
        hydra_context=hydra_context, task_function=task_function, config=config
    )


def without_storage(overrides: Iterable[str]) -> list[str]:
    """Overrides without the study's database, which may have a password in it, and which no trial needs."""
    return [text for text in overrides if not text.lstrip("+").startswith(("storage=", "hydra.sweeper.storage="))]


def singletons() -> Any:
    """What Hydra keeps for a whole process: plugins, registered configs, the config of the run."""
    return Singleton.get_state()


def use_singletons(state: Any) -> None:
    """Take over what another process's Hydra keeps."""
    Singleton.set_state(state)


@contextmanager
def _environment(more: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        if more:
            os.environ.clear()
            os.environ.update(before)


def _store(folder: Path, config: DictConfig, hydra: DictConfig) -> None:
    """Write the files that every Hydra job has, without the passwords in them."""
    folder.mkdir(exist_ok=True)
    parts = {"config": config, "hydra": hydra, "overrides": hydra.overrides.task}
    for name, part in parts.items():
        content = OmegaConf.to_container(part, resolve=False, enum_to_str=True)
        if name == "hydra":
            content = {"hydra": content}
        text = yaml.dump(content, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, sort_keys=False)
        (folder / f"{name}.yaml").write_text(without_passwords(text), encoding="utf-8")


class _Dumper(yaml.CSafeDumper):
    """Writes YAML that OmegaConf reads back as it was: it takes `1e-3` for a number, which YAML does not."""


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "'" if _LIKE_A_NUMBER.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
