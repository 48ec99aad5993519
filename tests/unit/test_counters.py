"""Labels of metrics: what an answer says never makes series without end."""

from prometheus_client import REGISTRY

from service.counters import OTHER_MODEL, count_attempt, expect_models, model_label


def test_only_expected_models_are_labels() -> None:
    expect_models("a provider", ("ordered", "in its table"))

    assert model_label("a provider", "ordered") == "ordered"
    assert model_label("a provider", "in its table") == "in its table"
    assert model_label("a provider", "from an answer") == OTHER_MODEL
    assert model_label("another provider", "ordered") == OTHER_MODEL


def test_a_thousand_names_in_answers_are_one_series_of_each_metric() -> None:
    for number in range(1000):
        count_attempt(
            provider="a talker",
            model=f"model-{number}",
            outcome="ok",
            ms=1,
            maybe_billed=True,
            tokens=1,
            cost_microusd=1,
        )

    models = {
        sample.labels["model"]
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.labels.get("provider") == "a talker" and "model" in sample.labels
    }
    assert models == {OTHER_MODEL}
