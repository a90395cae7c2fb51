"""What a stage is: `(config, references) -> reference`, done once for each key and found again ever after.

A stage is a function that fills a folder. Around it:

- its *key* is a digest of the section of the config that it takes, of the content of its inputs, whatever
  made them, and of the meaning of its module and of every module of ours that this imports (tasks.sources);
- its result is a `Reference` to the artifact of an MLflow run, which Prefect keeps under that key;
- a reference is believed only if the artifact is still what it was; otherwise the stage is done again;
- two runs that want one key at the same time do the work once;
- it works aside, in a folder that outlives a crash, and its artifact appears by renaming another folder;
- what it has worked out stays in the former until MLflow has the reference: nothing that fails after the
  work is done, an upload or a full disk, makes it be done again.
"""

import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any, get_type_hints
from uuid import UUID

from prefect import task
from prefect.cache_policies import CacheKeyFnPolicy
from prefect.context import TaskRunContext
from prefect.futures import PrefectFuture
from prefect.transactions import IsolationLevel, get_transaction
from pydantic import BaseModel

from percasym.config import StudyConfig
from percasym.errors import PercasymError, tells_of_full_disk
from percasym.folders import write_text
from percasym.home import Home
from percasym.lifecycle.records import read_fields
from percasym.seals import Damaged, file_digests, read_seal, seal
from percasym.sections import MachineSection, Section
from percasym.seeding import digest
from percasym.tracking import PARENT, PARTS, Run, Tracker, fetch, fetched, is_local, local_path
from percasym.values import flat
from tasks.locks import StageLocks, stage_lock
from tasks.progress import Progress, tell
from tasks.sources import content_of_files, sources, sources_digest

logger = logging.getLogger("percasym.stages")

TRAINING_LOG, SECONDS = "metrics.jsonl", "seconds.json"
# They say how long something took, or which version has written it: no part of what a result is.
ASIDE = {TRAINING_LOG, SECONDS, "README.md"}
NAMES = ("puzzle", "teacher_prompt", "teacher")  # settings that may name a file or folder: its content counts
DATASETS = {"generate", "ingest", "distill"}  # stages whose artifact is a data set
RUN_FILE = "run"
HEAVY = ("percasym.distillation", "percasym.report", "percasym.report.gallery", "scipy.stats")
REFERENCE = "reference"  # the tag of a finished stage's run

_locks = StageLocks()
_importing = Lock()


class Reference(BaseModel, frozen=True):
    """Where the artifact of a finished stage is, and what it was when the stage ended."""

    stage: str
    label: str
    key: str
    run: str  # MLflow run id
    uri: str
    digest: str  # of the content, but for files ASIDE: what later stages depend on
    seal: str  # of every byte and of the other fields: what a hit is checked against

    @property
    def path(self) -> Path:
        """The artifact as a local folder, downloaded if it has to be.

        Raises:
            PercasymError: it is damaged. Then it is forgotten, so that the next study makes it anew.
        """
        try:
            return fetch(self.uri, fetched(self.run))
        except Damaged:
            Tracker.current().forget(self.run, REFERENCE)
            (Home.current().results / self.stage / self.key).unlink(missing_ok=True)
            raise

    def intact(self) -> bool:
        """Whether the artifact, and what this says of it, are still what they were. What is in an object
        store is compared when it is downloaded."""
        if not is_local(self.uri):
            return True
        folder = local_path(self.uri)
        try:
            files = read_seal(folder)
            return files is not None and self.sealed(files) == self and files == file_digests(folder)
        except (OSError, ValueError):
            return False

    def sealed(self, files: Mapping[str, str]) -> "Reference":
        """This reference, with the digests of an artifact of these files."""
        kept = digest(self.stage, self.label, self.key, self.run, files)
        return self.model_copy(update={"digest": _content(files), "seal": kept})


@dataclass(frozen=True)
class Work:
    """What a stage works with."""

    folder: Path  # empty; what is put here becomes the artifact, or is made anew if that fails
    scratch: Path  # what a killed run of the same stage left, and will find if it is killed again: `link` it
    label: str
    run: Run
    machine: MachineSection
    progress: Progress


def _content(files: Mapping[str, str]) -> str:
    """The digest of what these files hold, but for those ASIDE."""
    return digest({name: hash for name, hash in files.items() if Path(name).name not in ASIDE})


class Stage:
    """A stage, to be submitted in a flow."""

    def __init__(
        self, body: Callable[..., None], children: Sequence[str], uses: Callable[[Any], Sequence[str]]
    ) -> None:
        self.body = body
        self.uses = uses
        self.name = body.__name__
        self.section: type[Section] = get_type_hints(body)["config"]
        self.modules = (body.__module__, *children)
        self.without_key: dict[UUID, Exception] = {}
        """Why the key of a task run could not be found."""
        self.task = task(
            name=self.name,
            persist_result=True,
            cache_result_in_memory=False,
            result_serializer="json",
            cache_policy=CacheKeyFnPolicy(
                cache_key_fn=self._cache_key,
                isolation_level=IsolationLevel.SERIALIZABLE,
                lock_manager=_locks,
            ),
        )(self._perform)

    def submit(
        self,
        config: StudyConfig,
        study: str,
        label: str = "",
        after: Sequence[PrefectFuture[Reference]] = (),
        **inputs: Any,
    ) -> PrefectFuture[Reference]:
        """Starts the stage in the current flow.

        Args:
            config: the study's; the stage sees its own section, and of the machine only how to use it.
            study: id of the study's MLflow run.
            label: tells stages of one kind apart, e.g. the arm.
            after: stages to wait for, whose results do not matter.
            inputs: for the body: references (or futures of them, or dicts of these), which it gets as paths,
                and plain values. All of them are part of the key.
        """
        runner = self.task.with_options(
            task_run_name=f"{self.name} {label}".strip(), result_storage=Home.current().results
        )
        return runner.submit(
            config=config.section(self.section),
            machine=config.section(MachineSection),
            study=study,
            label=label,
            inputs=inputs,
            return_state=False,
            wait_for=list(after),
        )

    def key(self, config: Section, inputs: Mapping[str, Any]) -> str:
        """The digest that names the result; see the module's docstring."""
        return digest(self.name, *self._key_parts(config, inputs), sources_digest(self._modules_used(inputs)))

    def _key_parts(self, config: Section, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The settings, and what stands for each input."""
        fields = flat(config)
        fields |= {name: _identity(fields[name]) for name in NAMES if fields.get(name)}
        return fields, {name: _identity(value) for name, value in inputs.items()}

    def _modules_used(self, inputs: Mapping[str, Any]) -> tuple[str, ...]:
        return (*self.modules, *sorted({name for value in inputs.values() for name in self.uses(value)}))

    def _described_parts(self, config: Section, inputs: Mapping[str, Any]) -> str:
        """What the key is made of, for `percasym.why`: short texts, and digests in place of long ones."""
        fields, identities = self._key_parts(config, inputs)
        parts = {f"setting {name}": _short(value) for name, value in fields.items()}
        parts |= {f"input {name}": _short(value) for name, value in identities.items()}
        parts |= {f"code {name}": hash[:12] for name, hash in sources(self._modules_used(inputs)).items()}
        return json.dumps(parts)

    def _cache_key(self, context: TaskRunContext, parameters: dict[str, Any]) -> str:
        try:
            return self._found(parameters)
        except Exception as error:
            self.without_key[context.task_run.id] = error
            raise

    def _found(self, parameters: dict[str, Any]) -> str:
        """Where Prefect keeps the result, or will; a record that is not to be believed is removed."""
        key = f"{self.name}/{self.key(parameters['config'], parameters['inputs'])}"
        record = Home.current().results / key
        with stage_lock(key):
            if record.exists():
                known = _read(record)
                if known and key == f"{known.stage}/{known.key}" and known.intact():
                    tell(self.name, parameters["label"], "hit", 1.0)
                    shutil.rmtree(Home.current().work / key, ignore_errors=True)
                else:
                    record.unlink()
                    name = f"{self.name} {parameters['label']}".strip()
                    logger.warning("%s: its artifact is missing or altered, so it is done again", name)
        return key

    def _perform(
        self, config: Section, machine: MachineSection, study: str, label: str, inputs: dict[str, Any]
    ) -> Reference:
        key = self.key(config, inputs)
        self._check_kept(key)
        work = Home.current().work / self.name / key
        name = f"{self.name} {label}".strip()
        tell(self.name, label, "running")
        try:
            scratch, folder = work / "scratch", work / "artifact"
            scratch.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            reference = self._recorded(key)
            if reference is None:
                run = self._run(work / RUN_FILE, name, label, key, study)
                with run.open():
                    settings = {name: value for name, value in inputs.items() if isinstance(value, str)}
                    run.params({**flat(config), **settings})
                    _log_inputs(run, inputs)
                    run.tags({PARTS: self._described_parts(config, inputs)})
                    progress = Progress(self.name, label)
                    _import_heavy()
                    self.body(Work(folder, scratch, label, run, machine, progress), config, **_paths(inputs))
                    named = {"stage": self.name, "label": label, "key": key, "run": run.id, "uri": run.uri}
                    reference = Reference(**named, digest="", seal="").sealed(seal(folder))
                    run.publish(folder)
                    run.tags({REFERENCE: reference.model_dump_json()})
        except BaseException as error:
            tell(self.name, label, "failed")
            reason = error.strerror or "" if isinstance(error, OSError) else ""
            if tells_of_full_disk(reason):
                raise PercasymError(
                    f"{name}: {reason.lower()} in {work}: free some space, then run the same command"
                ) from error
            raise
        shutil.rmtree(work, ignore_errors=True)
        tell(self.name, label, "done", 1.0)
        return reference

    def _check_kept(self, key: str) -> None:
        """Raises what kept Prefect from having the key: it would go on without one, and keep no result."""
        context, transaction = TaskRunContext.get(), get_transaction()
        reason = self.without_key.pop(context.task_run.id, None) if context else None
        if transaction is not None and transaction.key != f"{self.name}/{key}":
            raise reason or PercasymError(
                f"{self.name}: Prefect has no key for it; run the same command again"
            )

    def _recorded(self, key: str) -> Reference | None:
        """What MLflow has of this work, though Prefect has no record of it: one of the two was killed in
        between, or the record is damaged."""
        for run in Tracker.current().having(stage=self.name, key=key):
            try:
                known = Reference.model_validate_json(run.data.tags.get(REFERENCE, ""))
            except ValueError:
                continue
            if known.key == key and known.run == run.info.run_id and known.intact():
                Tracker.current().finish(known.run)
                return known
        return None

    def _run(self, remembered: Path, name: str, label: str, key: str, study: str) -> Run:
        """The MLflow run of this work: that of the killed attempt which it continues, or a new one."""
        tracker = Tracker.current()
        run = tracker.run(remembered.read_text(errors="replace")) if remembered.exists() else None
        if run is None:
            run = tracker.start(name, {PARENT: study, "stage": self.name, "label": label, "key": key})
            write_text(remembered, run.id)
        return run


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else digest(value)[:12]


def _import_heavy() -> None:
    """Imports what stages take seconds to import, in one thread: two that import at the same moment what
    imports each other may see modules that are half there. Where all is cached nothing is imported."""
    with _importing:
        for name in HEAVY:
            import_module(name)


def stage(
    children: Sequence[str] = (), uses: Callable[[Any], Sequence[str]] = lambda _: ()
) -> Callable[[Callable[..., None]], Stage]:
    """Makes a stage of a function `(work, config: SomeSection, **inputs) -> None` that fills `work.folder`.

    Args:
        children: modules that it runs as child processes, whose source then belongs to the key too.
        uses: the modules that a value of an input names, such as the one of a loss: of several of a kind only
            those that are used belong to the key.
    """
    return lambda body: Stage(body, children, uses)


def _read(record: Path) -> Reference | None:
    """What Prefect has kept; None if a process was killed, or the disk full, while it was written, or if it
    is anything else than what Prefect writes."""
    fields = read_fields(record.read_bytes())
    return Reference(**fields) if fields else None


def _paths(value: Any) -> Any:
    """`value` with the local folder of its artifact for every reference in it."""
    if isinstance(value, Reference):
        return value.path
    if isinstance(value, Mapping):
        return {key: _paths(item) for key, item in value.items()}
    return value


def _identity(value: Any) -> Any:
    """What stands for an input in a key: the content of what it refers to or names."""
    if isinstance(value, Reference):
        return value.digest
    if isinstance(value, Mapping):
        return {key: _identity(item) for key, item in value.items()}
    if isinstance(value, str) and value:  # "" would be the current folder
        return _content(file_digests(Path(value))) if Path(value).is_dir() else content_of_files(value)
    return value


def _log_inputs(run: Run, inputs: Mapping[str, Any]) -> None:
    """Writes down which runs made the inputs, and the data sets among them."""

    def log(name: str, value: Any) -> None:
        if isinstance(value, Reference):
            run.tags({f"input.{name}": value.run})
            if value.stage in DATASETS:
                run.dataset(value.stage, value.digest, value.uri, name)
        elif isinstance(value, Mapping):
            for key, item in value.items():
                log(f"{name}.{key}", item)

    for name, value in inputs.items():
        log(name, value)
