"""The command line. Whatever takes long to import is imported by the command that needs it."""

import json
import os
import shlex
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from flows import cli_data, cli_home, cli_models, cli_results, cli_up
from flows.console import HomeFolder
from percasym import __version__
from percasym.errors import DISK_IS_FULL, PercasymError, tells_of_full_disk
from percasym.home import DEFAULT, VARIABLE, Home

if TYPE_CHECKING:
    from percasym.config import StudyConfig

app = typer.Typer(
    help="Measure, explain and repair the perception-reasoning asymmetry of vision-language models.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(cli_data.commands)
app.add_typer(cli_models.commands)
app.add_typer(cli_results.commands)
app.add_typer(cli_home.commands)
app.add_typer(cli_up.commands)

DATABASE_SECONDS = 20.0  # that a damaged database is looked for

UsageError: Any = typer.BadParameter.mro()[1]  # typer exports no name for it

Preset = Annotated[
    str, typer.Option(help="tiny, mini, gpu-mini, paper (see `percasym presets`), or a .yaml file.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Changes a setting; a,b is a list. May be repeated."),
]
Seed = Annotated[int | None, typer.Option(help="Everything random follows from it.")]


@app.callback(invoke_without_command=True)
def common(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def study(
    preset: Preset = "mini",
    settings: Settings = None,
    recipes: Annotated[
        list[str] | None,
        typer.Option(
            "--recipe",
            metavar="NAME: PHASES",
            help="A chain of trainings in place of the preset's, such as 'rl: sft token_mean then "
            "grpo outcome steps=20'. May be repeated.",
        ),
    ] = None,
    seed: Seed = None,
    home: HomeFolder = Path(DEFAULT),
) -> None:
    """Run a whole study: data, teacher, base model, post-training in several ways, measurement, report.

    What has been done before with the same settings is not done again; a study that was killed goes on where
    it stopped.
    """
    config = _config(preset, settings, seed, recipes)
    with _pipeline(home):
        from flows.study import study as flow

        _conclude(flow(config))


@app.command()
def sweep(
    preset: Preset = "mini",
    settings: Settings = None,
    seed: Seed = None,
    lam: Annotated[
        str, typer.Option(help="Weights of the perception loss, from 0 to 1.", show_default="0.1,0.3,...,0.9")
    ] = "",
    alpha: Annotated[
        str, typer.Option(help="Weights of a_p in the reward of GRPO, from 0 to 1; instead of --lam.")
    ] = "",
    home: HomeFolder = Path(DEFAULT),
) -> None:
    """Run a study over a grid of weights of perception, in the loss or the reward: the trade-off curve."""
    config = _config(preset, settings, seed)
    alphas = _numbers("--alpha", alpha)
    lams = _numbers("--lam", lam or ("" if alphas else "0.1,0.3,0.5,0.7,0.9"))
    config.over(lams, alphas)  # a bad number is told before anything starts
    with _pipeline(home):
        from flows.sweep import sweep as flow

        _conclude(flow(config, lams, alphas))


@app.command()
def reevaluate(
    alias: Annotated[str, typer.Option(help="Aliases of the versions to measure, by commas.")] = "best",
    model: Annotated[str, typer.Option(help="Names of registered models, by commas; none: all.")] = "",
    test_items: Annotated[int, typer.Option(min=0, help="Items of each kind; 0: as the study had.")] = 0,
    margin: Annotated[float, typer.Option(min=0, max=100, help="Points that a fall must exceed.")] = 5.0,
    settings: Settings = None,
    home: HomeFolder = Path(DEFAULT),
) -> None:
    """Measure registered models again, on the items of their study and on fresh ones; fail if one fell."""
    from percasym.presets import parse_settings

    changes = parse_settings(settings or [])
    aliases, models = ([name for name in text.split(",") if name] for text in (alias, model))
    with _pipeline(home):
        from flows.reevaluate import reevaluate as flow

        typer.echo(flow(aliases, models, test_items, margin / 100, changes))


@app.command()
def report(
    name: Annotated[str, typer.Argument(help="Name of a study.")] = "mini",
    out: Annotated[Path | None, typer.Option(help="Folder to copy the report and its figures to.")] = None,
    home: HomeFolder = Path(DEFAULT),
) -> None:
    """Say where the report of the latest study of that name is, or copy it."""
    import shutil

    os.environ[VARIABLE] = str(home)
    from percasym.tracking import Tracker, fetch, fetched

    if not Home.current().root.is_dir():
        raise PercasymError(f"there are no studies in {home}; run `percasym study` first")
    uri = Tracker.current().latest(name, "report")
    if uri is None:
        raise PercasymError(f"there is no finished study called {name!r} in {home}")
    folder = fetch(uri, fetched(uri.split("/")[-2]))
    if out is not None:
        shutil.copytree(folder, out, dirs_exist_ok=True)
    typer.echo((out or folder) / "report.html")


@app.command()
def presets(
    name: Annotated[str | None, typer.Argument(help="Print this one, with its comments.")] = None,
) -> None:
    """List the presets, or print one: it is a file to copy and change."""
    from percasym.presets import PRESETS, preset_text

    if name is not None:
        typer.echo(preset_text(name))
        return
    for preset in PRESETS:
        first = preset_text(preset).splitlines()[0]
        typer.echo(f"{preset:10}{first.removeprefix('# ')}")


@app.command()
def schema() -> None:
    """Print the JSON schema of a preset, by which editors complete and check such files."""
    from percasym.presets import schema as of_presets

    typer.echo(json.dumps(of_presets(), indent=2))


def _numbers(option: str, text: str) -> list[float]:
    try:
        return [float(number) for number in text.split(",") if number]
    except ValueError:
        raise PercasymError(f"{option} {text}: write numbers from 0 to 1, separated by commas") from None


def _config(
    preset: str, settings: list[str] | None, seed: int | None, recipes: list[str] | None = None
) -> "StudyConfig":
    from percasym.presets import load_preset, parse_settings

    changes = parse_settings(settings or [])
    changes |= {} if seed is None else {"seed": seed}
    config = load_preset(preset, {**changes, "recipes": recipes} if recipes else changes)
    config.check_files()
    return config


@contextmanager
def _pipeline(home: Path) -> Iterator[None]:
    """What is around a flow: its server, its bars, its log lines. SIGTERM ends it as Ctrl-C does."""
    os.environ[VARIABLE] = str(home)
    from flows.server import link, prefect_server
    from percasym import logins

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    current = Home.current()
    with prefect_server(current) as server:
        from flows.terminal import following

        try:
            with following(lambda: link(current, server(), logins.of_prefect(), sys.stderr)):
                yield
        except KeyboardInterrupt:
            print("interrupted: the same command goes on where this one stopped", file=sys.stderr)
            raise typer.Exit(130) from None


def _conclude(outcome: Any) -> None:
    """Says what was found, and where the rest is."""
    from rich.console import Console

    from flows.server import link, running
    from percasym import logins
    from percasym.tables import model_table

    Console().print(
        model_table(
            {
                outcome.labels[name]: json.loads(Path(path).read_text())
                for name, path in outcome.summaries.items()
            }
        )
    )
    typer.echo(f"report   {outcome.report}")
    if up := running(Home.current()):
        home = Home.current()
        typer.echo(f"flows    {link(home, up.prefect, logins.of_prefect(), sys.stdout)}")
        typer.echo(f"runs     {link(home, up.mlflow, logins.of_mlflow(), sys.stdout)}")
    else:
        typer.echo(f"flows and runs   percasym up --home {shlex.quote(str(Home.current().root))}")


def main() -> None:
    """Runs the command. A mistake that the user can mend is one line and exit code 2."""
    try:
        code = app(standalone_mode=False)
    except UsageError as error:
        _stop(" ".join(error.format_message().split()))
    except PercasymError as error:
        _stop(str(error))
    except Exception as error:
        from pydantic import ValidationError

        if isinstance(error, ValidationError):
            from percasym.presets import explain

            _stop(explain(error))
        if _disk_is_full(error):
            _stop(DISK_IS_FULL)
        if any(isinstance(cause, sqlite3.DatabaseError) for cause in _causes(error)):
            _stop(_damaged_database(error))
        raise
    raise SystemExit(code)


def _stop(message: str) -> NoReturn:
    print(f"error: {' '.join(message.splitlines())}", file=sys.stderr)  # a name may have several lines
    raise SystemExit(2) from None


def _disk_is_full(error: BaseException) -> bool:
    """Whether a full disk is behind an error, however far."""
    return any(tells_of_full_disk(str(cause)) for cause in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _damaged_database(error: Exception) -> str:
    """What to do about a database that SQLite cannot read."""
    from percasym.lifecycle.databases import check_database, databases

    damaged = [path for path in databases(Home.current()) if check_database(path, DATABASE_SECONDS)]
    if not damaged:
        return f"a database fails: {str(error).splitlines()[0]}"
    path = damaged[0]
    return (
        f"{path} is damaged: restore a backup (`percasym restore FILE --home NEW`), or save what can be "
        f"read of it (`sqlite3 {path} .recover | sqlite3 {path}.new`, then put that in its place)"
    )


if __name__ == "__main__":
    main()
