"""What the numbers of a comparison cannot show: one sentence for each limit that it has."""

from __future__ import annotations

from dermapair.report.comparison_tables import ALPHA, Content
from dermapair.report.figures import THIN
from dermapair.report.wording import count


def limits(content: Content) -> list[str]:
    """Return the sentences, those that matter most first."""
    return [
        "This is research, not a medical device. Nobody's care may depend on it.",
        *_drawn(content),
        _trainings(content),
        *_seeds_differ(content),
        *_validation(content),
        _groups(content),
        *_few_cases(content),
        *_tests(content),
        *_unequal(content),
        *_left_out(content),
    ]


def _drawn(content: Content) -> list[str]:
    if all(run["adapter"] != "phantom" for run in content["runs"]):
        return []
    return ["The lesions are drawn by a program. The numbers say whether training works, nothing about skin."]


def _trainings(content: Content) -> str:
    start = (
        f"The intervals are over {content['groups']}, not over trainings: they say how the figures could "
        f"vary with other lesions of the same kind, for these networks."
    )
    if content["families"]:
        least = min(len(family["runs"]) for family in content["families"])
        return (
            f"{start} What another seed changes stands beside them; from {least} "
            f"{'training' if least == 1 else 'trainings'} of a recipe that spread is hardly known."
        )
    return f"{start} Each recipe was trained once: another seed may change a difference as much."


def _seeds_differ(content: Content) -> list[str]:
    """Return what to think of small p-values where a mere other seed has them too."""
    rows = [row for row in content["differences"] if row["other_seed"]]
    sure = [row["run"] for row in rows if any((f["p_holm"] or 1) < ALPHA for f in row["figures"].values())]
    if not sure:
        return []
    return [
        f"Another seed alone gives a p below 5% here ({', '.join(sure)}): a small p says that two networks "
        f"differ on such lesions, not that their recipes do. Judge recipes by the tables over seeds."
    ]


def _validation(content: Content) -> list[str]:
    if content["split"] != "val":
        return []
    return [
        "Epochs were chosen, and calibration fitted, on these very lesions: the figures flatter the runs."
    ]


def _groups(content: Content) -> str:
    if content["groups"] == "patients":
        return (
            f"The bootstrap draws whole patients ({content['n_groups']:,}). McNemar's and DeLong's tests "
            f"take {content['n_lesions']:,} lesions for independent, too sure where a patient has several."
        )
    return (
        f"The bootstrap draws {content['groups']} ({content['n_groups']:,}): if unnamed patients have "
        f"several lesions here, every interval is too narrow and every p too small. A case folder that "
        f"names patients can be given with `--data`."
    )


def _few_cases(content: Content) -> list[str]:
    thin = [f"{name} ({n})" for name, n in content["classes"].items() if 0 < n < THIN]
    absent = [name for name, n in content["classes"].items() if n == 0]
    found = []
    if thin:
        found.append(
            f"Fewer than {THIN} lesions: {', '.join(thin)}. Macro figures count them as much as any other "
            f"class, so a difference in these may come from a handful of lesions."
        )
    if absent:
        found.append(f"No lesion at all: {', '.join(absent)}. No mean includes them.")
    return found


def _tests(content: Content) -> list[str]:
    """Return what the p-values do not say, and whether any could be small."""
    n = sum(figure["p_value"] is not None for r in content["differences"] for figure in r["figures"].values())
    least = min(1.0, 2 * n / (content["interval"]["n"] + 1))
    found = [
        "A difference that is not beyond chance is no proof that two runs are equal. A run or a metric that "
        "was picked because of these very figures looks better than it is."
    ]
    if least >= ALPHA:
        found.append(
            f"With {content['interval']['n']:,} bootstrap samples and {count(n, 'test')}, no corrected p of "
            f"the bootstrap can be below {least:.3f}: raise `--samples`."
        )
    return found


def _unequal(content: Content) -> list[str]:
    """Return in what the runs are unequal apart from their recipes."""
    runs, found = content["runs"], []
    calibrated = [run["run"] for run in runs if run["calibrated"]]
    if calibrated and len(calibrated) < sum(run["calibrated"] is not None for run in runs):
        found.append(
            f"Only the probabilities of {', '.join(calibrated)} are calibrated: differences in log loss, "
            f"Brier score and calibration error come from that too (`dermapair calibrate`)."
        )
    unknown = [run["run"] for run in runs if run["recipe"] is None]
    if unknown:
        found.append(
            f"Nobody knows what {', '.join(unknown)} learned from: a predictions file does not say it, so "
            f"whether it has seen these lesions could not be checked."
        )
    if len({run["learned"] for run in runs if run["learned"]}) > 1:
        found.append("The runs have not learned from the same lesions; a difference is that of the data too.")
    return found


def _left_out(content: Content) -> list[str]:
    lost = {run["run"]: run["left_out"] for run in content["runs"] if run["left_out"]}
    parts = [
        (
            "Lesions that some other run has not scored are left out: "
            + ", ".join(f"{n} of {run}" for run, n in lost.items())
            + ".",
            lost,
        ),
        (
            f"{content['without_truth']} common lesions have no diagnosis: not scored.",
            content["without_truth"],
        ),
    ]
    return [sentence for sentence, there in parts if there]
