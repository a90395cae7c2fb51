from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import pytest
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer, ErrorbarContainer

from percasym.diagnostics.diagnosis import diagnose
from percasym.diagnostics.records import read_training
from percasym.report import accuracy_figures, error_figures, outcomes, training_figures
from percasym.report.page import draw
from percasym.report.style import GREY, INK, METRICS, model_looks, save, spread


@pytest.fixture(scope="module")
def diagnosis(whole_study):
    return diagnose(whole_study.models, whole_study.dataset, whole_study.split, whole_study.sweep)


@pytest.fixture
def logs(whole_study):
    return {model.name: read_training(model.training) for model in whole_study.models if model.training}


def texts(ax):
    return [text.get_text() for text in ax.texts]


def errorbars(ax):
    """Value, low and high of each horizontal error bar."""
    found = []
    for container in ax.containers:
        if isinstance(container, ErrorbarContainer):
            points, _, (lines,) = container.lines
            (low, _), (high, _) = lines.get_segments()[0]
            found.append((points.get_xdata()[0], low, high))
    return found


def percent(estimate):
    return pytest.approx([100 * estimate[key] for key in ("value", "low", "high")])


def test_everything_is_drawn(diagnosis, logs):
    assert list(draw(diagnosis, logs)) == [
        "accuracy",
        "differences",
        "training_curves",
        "share_curves",
        "causes",
        "associations",
        "caption_credit",
        "misread",
        "trade_off",
    ]


def test_what_has_no_numbers_is_not_drawn(make_study):
    study = make_study(oracle=False, training=False)
    diagnosis = diagnose(study.models[:1], study.dataset, study.split)
    assert list(draw(diagnosis, {})) == ["accuracy", "causes", "caption_credit", "misread"]


def test_an_audit_has_a_row_for_each_surrogate(diagnosis, logs):
    estimate = {"value": 0.6, "low": 0.5, "high": 0.7, "n": 512}
    known = {"within": estimate, "pooled": estimate, "false_positives": 0.25, "seconds": 0.02}
    nothing = {"within": None, "pooled": None, "false_positives": None, "seconds": 0.001}
    surrogates = {"teacher": known, "my/own.py:wishes": nothing}
    audit = {"surrogates": surrogates, "right": 0.3, "groups": 64, "rollouts": 512}
    figure = draw(diagnosis, logs, audit)["surrogate_audit"]
    truth, false, cost = figure.axes
    assert [label.get_text() for label in truth.get_yticklabels()] == ["teacher", "own.py:wishes"]
    assert errorbars(truth) == [pytest.approx((0.6, 0.5, 0.7))]
    assert texts(false) == ["25"]
    assert texts(cost) == ["20", "1"]


def test_accuracy_bars_and_intervals(diagnosis):
    figure = accuracy_figures.accuracy(diagnosis)
    for ax, (metric, color) in zip(figure.axes, METRICS.items(), strict=True):
        bars = [container[0] for container in ax.containers if isinstance(container, BarContainer)]
        estimates = [model["summary"][metric] for model in diagnosis["models"].values()]
        assert [bar.get_width() for bar in bars] == pytest.approx([100 * e["value"] for e in estimates])
        assert errorbars(ax) == [percent(estimate) for estimate in estimates]
        assert texts(ax) == [f"{100 * estimate['value']:.1f}" for estimate in estimates]
        assert {to_hex(bar.get_facecolor()) for bar in bars} == {color.lower()}
        base, *arms = [bar.get_alpha() for bar in bars]
        assert base < min(arms)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        "Base",
        "Token mean",
        "Fixed λ = 0.3",
        "NGDiff",
    ]


def test_accuracy_says_what_was_not_measured(make_study):
    study = make_study(oracle=False)
    figure = accuracy_figures.accuracy(diagnose(study.models, study.dataset, study.split))
    assert texts(figure.axes[2]) == ["not measured"] * 4


def test_differences_are_from_the_token_mean(diagnosis):
    figure = accuracy_figures.differences(diagnosis)
    for ax, metric in zip(figure.axes, METRICS, strict=True):
        tests = [
            diagnosis["comparisons"][arm]["token_mean"][metric]["difference"]
            for arm in ("fixed:0.3", "ngdiff")
        ]
        assert errorbars(ax) == [percent(test) for test in tests]
        open_marks = [
            to_hex(container.lines[0].get_markerfacecolor()) == "#ffffff" for container in ax.containers
        ]
        assert open_marks == [test["low"] <= 0 <= test["high"] for test in tests]


def test_differences_from_the_base_without_a_token_mean(make_study):
    study = make_study()
    diagnosis = diagnose([study.models[0], study.models[3]], study.dataset, study.split)
    (found,) = errorbars(accuracy_figures.differences(diagnosis).axes[0])
    assert found == percent(diagnosis["comparisons"]["ngdiff"]["base"]["a"]["difference"])


def test_trade_off_follows_the_sweep(diagnosis):
    left, right = accuracy_figures.trade_off(diagnosis, "lam").axes
    for line, metric in zip(left.lines, METRICS, strict=True):
        assert list(line.get_xdata()) == [0.1, 0.5, 0.9]
        assert line.get_ydata() == pytest.approx(
            [100 * point[metric]["value"] for point in diagnosis["sweeps"]["lam"]]
        )
        assert line.get_color() == METRICS[metric]
    path = right.lines[0]
    assert path.get_xdata() == pytest.approx(
        [100 * point["a_p"]["value"] for point in diagnosis["sweeps"]["lam"]]
    )
    assert [line.get_label() for line in right.lines[1:]] == [
        "Token mean",
        "NGDiff",
    ]  # fixed ones are the path


def test_a_sweep_over_alpha_is_a_curve_of_its_own(make_study):
    study = make_study(sweep=(0.1, 0.5, 0.9))
    points = [replace(point, over="alpha") for point in study.sweep]
    diagnosis = diagnose(study.models, study.dataset, study.split, points)
    assert accuracy_figures.trade_off(diagnosis, "lam") is None
    left, right = accuracy_figures.trade_off(diagnosis, "alpha").axes
    assert "alpha" in left.get_xlabel()
    assert len(right.lines) == 1  # there is no other reward in this study


def test_training_curves_show_the_log(diagnosis, logs):
    axes = training_figures.training_curves(diagnosis, logs).axes
    looks = model_looks(diagnosis["models"])
    validation = [line for line in axes[1].lines if line.get_marker() != "None"]
    for line, (name, log) in zip(validation, logs.items(), strict=True):
        assert list(line.get_xdata()) == [entry["step"] for entry in log.validation]
        assert line.get_ydata() == pytest.approx([100 * entry["a_p"] for entry in log.validation])
        assert line.get_color() == looks[name].color
    raw = axes[3].lines[0]
    assert list(raw.get_ydata()) == [entry["loss_p"] for entry in logs["token_mean"].train]
    assert axes[3].get_yscale() == "log"


def test_training_curves_bear_gaps(diagnosis, logs):
    for entry in logs["ngdiff"].train:
        entry |= {"lam": None, "loss_p": None, "grad_cosine": None}
    for entry in logs["ngdiff"].validation:
        entry["a_r"] = None
    axes = training_figures.training_curves(diagnosis, logs).axes
    assert [len(ax.lines) for ax in (axes[2], axes[3], axes[5])] == [2, 4, 4]


def test_moving_median_spans_five_percent():
    values = [0.0] * 40 + [9.0] + [0.0] * 39
    assert training_figures.moving_median(values) == [0.0] * 80
    assert training_figures.moving_median([3.0, 1.0]) == [3.0, 1.0]


def test_share_curves_name_their_ends(diagnosis):
    figure = training_figures.share_curves(diagnosis)
    token_mean = figure.axes[0]
    shares = diagnosis["models"]["token_mean"]["shares"]
    assert texts(token_mean) == [
        f"{name} {100 * shares[key]['late']:.2g} %"
        for key, name in (("tokens", "tokens"), ("loss", "loss"), ("gradient", "update"))
    ]
    assert {line.get_linestyle() for line in token_mean.lines} == {":", "-", "--"}


def test_causes_add_up(diagnosis):
    (ax,) = error_figures.causes(diagnosis).axes
    for row, model in enumerate(diagnosis["models"].values()):
        widths = [bar.get_width() for bar in ax.patches if bar.get_y() < row < bar.get_y() + bar.get_height()]
        expected = [model["outcomes"].get(key, 0) / 0.6 for key in outcomes.NAMES]
        assert widths == pytest.approx(expected)
        assert sum(widths) == pytest.approx(100)


def test_associations_show_r_and_the_four_cells(diagnosis):
    left, right = error_figures.associations(diagnosis).axes
    expected = [
        [model["association"][metric][key] for key in ("value", "low", "high")]
        for model in diagnosis["models"].values()
        for metric in ("a_p", "a_r")
        if model["association"][metric]
    ]
    assert errorbars(left) == [pytest.approx(r) for r in expected]
    counted = [cell["right"] for cell in diagnosis["models"]["ngdiff"]["association"]["given"]][::-1]
    assert [int(text.split(" / ")[0]) for text in texts(right)[-4:] if text != "–"] == [
        right for right, text in zip(counted, texts(right)[-4:], strict=True) if text != "–"
    ]


def test_caption_credit_ends_at_the_exact_captions(diagnosis):
    (ax,) = error_figures.caption_credit(diagnosis).axes
    for line, model in zip(ax.lines, diagnosis["models"].values(), strict=True):
        assert line.get_ydata()[-1] == pytest.approx(100 * model["summary"]["a_p"]["value"])
        heights = list(line.get_ydata())
        assert heights == sorted(heights, reverse=True)


def test_misread_numbers(diagnosis):
    axes = error_figures.misread(diagnosis).axes
    counts = diagnosis["models"]["base"]["misreadings"]
    expected = [
        f"{100 * wrong / seen:.0f}"
        for wrong_row, seen_row in zip(counts["wrong"], counts["seen"], strict=True)
        for wrong, seen in zip(wrong_row, seen_row, strict=True)
    ]
    assert texts(axes[0]) == expected
    assert len(texts(axes[4])) == 5 * 4  # what was read right is left out


def test_looks_are_the_same_in_every_report():
    arm, base = {"kind": "sft"}, {"kind": "base"}
    many = model_looks({"base": base, "dwa": arm, "token_mean": arm, "pcgrad": arm, "ngdiff": arm})
    few = model_looks({"token_mean": arm, "ngdiff": arm})
    assert many["base"].color == GREY
    assert many["token_mean"] == few["token_mean"]
    assert many["token_mean"].color == INK
    assert many["ngdiff"] == few["ngdiff"]
    assert len(set(model_looks({f"arm{number}": arm for number in range(8)}).values())) == 8
    assert len(set(many.values())) == 5


def test_spread_keeps_a_distance_and_the_mean():
    placed = spread([5.0, 1.0, 1.1, 1.2], gap=1.0)
    ordered = sorted(placed)
    assert all(above - below >= 1 - 1e-9 for below, above in pairwise(ordered))
    assert sum(placed) == pytest.approx(8.3)
    assert spread([], gap=1.0) == []
    assert spread([3.0, 1.0], gap=1.0) == [3.0, 1.0]


def test_saved_figures_are_the_same_bytes(diagnosis, tmp_path):
    inline = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        inline.append(save(error_figures.causes(diagnosis), "causes", folder, "why"))
    for name in ("causes.svg", "causes.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert inline[0] == inline[1]
    assert 'aria-label="why"' in inline[0]
    assert INK not in inline[0]
    assert "currentColor" in inline[0]


def test_threads_do_not_disturb_each_other(diagnosis, tmp_path):
    def one(number):
        folder = tmp_path / str(number)
        folder.mkdir()
        save(accuracy_figures.accuracy(diagnosis), "accuracy", folder, "")
        return (folder / "accuracy.svg").read_bytes()

    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(one, range(4)))) == 1
