"""Which endpoint answers, and the reason that is given for it."""

from __future__ import annotations

import threading
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.agents.providers.simulated import SimulatedProvider
from racto.agents.routes import Routes, Wish
from racto.agents.routing import (
    KEYWORDS,
    CostAwareRouter,
    Endpoint,
    LatencyTracker,
    RoutingConfig,
    RoutingTier,
    TaskRoute,
    TaskRouter,
)
from racto.knowledge.errors import ConfigError, InputError, ModelNotAvailableError, RactoGatewayError, UnknownNameError

LADDER = [
    RoutingTier(model="gpt-4o-mini", max_score=30),
    RoutingTier(model="gpt-4o", max_score=70),
    RoutingTier(model="o3-mini", max_score=100),
]
RLHF = (
    "Explain the difference between RLHF, DPO, and PPO in the context of fine-tuning large language models "
    "for instruction following."
)


def provider(name: str, *, local: bool = False, without: frozenset[str] = frozenset()) -> SimulatedProvider:
    made = SimulatedProvider()
    made.name = name
    made.local = local
    made.capabilities = SimulatedProvider.capabilities - without
    return made


def free(endpoint: Endpoint) -> Decimal | None:
    return None


# -- by how hard the question is


def test_the_examples_of_the_readme_are_routed_as_it_promises() -> None:
    router = CostAwareRouter(tiers=LADDER)
    assert router.route("What is 2+2?") == "gpt-4o-mini"
    assert router.score("What is 2+2?") == pytest.approx(10, abs=5)
    assert router.route(RLHF) == "gpt-4o"
    assert router.score(RLHF) == pytest.approx(65, abs=2)
    question = "Analyze the trade-offs between Redis Cluster and Cassandra for a write-heavy time-series workload"
    assert router.route(question) == "o3-mini"


def test_a_score_is_at_most_sixty_for_length_and_forty_for_words() -> None:
    router = CostAwareRouter(LADDER)
    assert router.score("") == 0.0
    assert router.score("x" * 1600) == 60.0
    assert router.score("x" * 160_000) == 60.0
    assert router.score("y " * 4000 + "analyze compare optimize evaluate") == 100.0
    assert len(KEYWORDS) == 25


def test_a_word_inside_another_word_does_not_count() -> None:
    router = CostAwareRouter(LADDER)
    assert router.score("redesigned") == router.score("zzzzzzzzzz")
    assert router.score("DESIGN it!") > router.score("zzzzzz it!")


@given(st.text(max_size=3000))
def test_every_text_has_a_score_and_a_tier(text: str) -> None:
    router = CostAwareRouter(LADDER)
    score = router.score(text)
    assert 0.0 <= score <= 100.0
    chosen = next(tier for tier in router.tiers if tier.model == router.route(text))
    assert score <= chosen.max_score
    assert all(score > tier.max_score for tier in router.tiers[: router.tiers.index(chosen)])


def test_the_last_tier_takes_what_no_other_does() -> None:
    router = CostAwareRouter([RoutingTier(model="small", max_score=5), RoutingTier(model="large", max_score=10)])
    assert router.route(RLHF) == "large"


@pytest.mark.parametrize("tiers", [[], [LADDER[1], LADDER[0]], [LADDER[0], RoutingTier(model="same", max_score=30)]])
def test_tiers_that_are_missing_or_do_not_rise_are_refused(tiers: list[RoutingTier]) -> None:
    with pytest.raises(ValueError, match=r"tier|rise"):
        CostAwareRouter(tiers)


def test_the_tiers_cannot_be_changed_afterwards() -> None:
    tiers = list(LADDER)
    router = CostAwareRouter(tiers)
    tiers.clear()
    assert router.tiers == tuple(LADDER)


def test_auto_without_a_router_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="router"):
        Routes([Endpoint(provider("openai"), "auto")])


def test_auto_becomes_the_model_of_the_tier_and_says_why() -> None:
    routes = Routes([Endpoint(provider("openai"), "auto")], router=CostAwareRouter(LADDER))
    endpoints, why = routes.choose(Wish("chat", RLHF), free)
    assert [str(each) for each in endpoints] == ["openai/gpt-4o"]
    assert any("65" in reason and "gpt-4o" in reason for reason in why)


def test_a_call_may_ask_for_auto_and_a_tier_may_name_its_provider() -> None:
    tiers = [RoutingTier(model="cheap/small", max_score=30), RoutingTier(model="large")]
    routes = Routes([Endpoint(provider("dear"), "usual")], providers=[provider("cheap")], router=CostAwareRouter(tiers))
    asked = [str(each) for each in routes.choose(Wish("chat", "What is 2+2?", model="auto"), free)[0]]
    assert asked == ["cheap/small", "dear/usual"]
    assert str(routes.choose(Wish("chat", RLHF, model="auto"), free)[0][0]) == "dear/large"
    assert str(routes.choose(Wish("chat", RLHF), free)[0][0]) == "dear/usual"
    assert routes.models(Wish("chat", model="auto")) == ["small", "large"]
    with pytest.raises(ConfigError, match="router"):
        Routes([Endpoint(provider("dear"), "usual")]).choose(Wish("chat", model="auto"), free)


# -- by task and component


def table() -> TaskRouter:
    return TaskRouter(
        {
            "code": TaskRoute(provider="big", model="coder"),
            "ergon": TaskRoute(provider="big", model="general"),
            "ergon_code": TaskRoute.model_validate(
                {
                    "provider": "big",
                    "model": "ergon-coder",
                    "options": {"temperature": 0.2, "fallback_provider": "small", "fallback_model": "mini"},
                }
            ),
        }
    )


@pytest.mark.parametrize(
    ("task", "component", "key"),
    [("code", "ergon", "ergon_code"), ("chat", "ergon", "ergon"), ("code", "other", "code"), ("code", "", "code")],
)
def test_the_most_particular_route_wins(task: str, component: str, key: str) -> None:
    found = table().find(task, component)
    assert found is not None
    assert found[0] == key


def test_a_task_nobody_described_has_no_route() -> None:
    assert table().find("painting", "other") is None
    assert table().find("", "") is None


@pytest.mark.parametrize(
    ("task", "first", "then"),
    [
        ("code", "claude-3-opus", "gpt-4-turbo"),
        ("planning", "claude-3-sonnet", "gpt-4o"),
        ("reasoning", "claude-3-sonnet", "gpt-4o"),
        ("chat", "claude-3-haiku", "gpt-3.5-turbo"),
    ],
)
def test_the_tasks_of_the_specification_have_their_models(task: str, first: str, then: str) -> None:
    found = TaskRouter().find(task)
    assert found is not None
    (one, one_model), (two, two_model) = found[1].steps()
    assert (one, two) == ("anthropic", "openai")
    assert one_model.startswith(first)
    assert two_model == then


def test_a_task_goes_to_its_route_then_its_fallback_then_the_chain() -> None:
    routes = Routes(
        [Endpoint(provider("spare"), "last")], providers=[provider("big"), provider("small")], tasks=table()
    )
    endpoints, why = routes.choose(Wish("chat", task="code", component="ergon"), free)
    assert [str(each) for each in endpoints] == ["big/ergon-coder", "small/mini", "spare/last"]
    assert why == ["task ergon_code: big/ergon-coder"]


def test_a_route_to_a_provider_that_is_not_set_up_falls_back_and_says_so() -> None:
    routes = Routes([Endpoint(provider("small"), "last")], tasks=table())
    endpoints, why = routes.choose(Wish("chat", task="code", component="ergon"), free)
    assert [str(each) for each in endpoints] == ["small/mini", "small/last"]
    assert "big is not set up" in why[0]


def test_a_file_of_tasks_replaces_the_defaults_it_names(tmp_path: Path) -> None:
    file = tmp_path / "tasks.json"
    file.write_text('{"code": {"provider": "ollama", "model": "qwen3", "options": {"max_tokens": 2000}}}')
    router = TaskRouter.from_file(file)
    assert router.routes["code"].model == "qwen3"
    assert router.routes["code"].options.max_tokens == 2000
    assert router.routes["chat"].provider == "anthropic"


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"code": {"provider": "x"}}', '{"code": {"provider": "x", "model": "y", "speed": 1}}']
)
def test_a_file_that_is_no_table_of_tasks_is_refused_with_its_name(text: str, tmp_path: Path) -> None:
    file = tmp_path / "tasks.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"tasks\.json"):
        TaskRouter.from_file(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        TaskRouter.from_file(tmp_path / "none.json")


# -- by preference, price and latency


PRICES = {"dear": Decimal("0.02"), "cheap": Decimal("0.001"), "own": Decimal(0)}


def price(endpoint: Endpoint) -> Decimal | None:
    return PRICES.get(endpoint.provider.name)


def names(routes: Routes, wish: Wish, *, thrifty: bool = False) -> list[str]:
    return [each.provider.name for each in routes.choose(wish, price, thrifty=thrifty)[0]]


def chain(*given: str, model: str = "") -> list[Endpoint]:
    return [Endpoint(provider(name, local=name == "own"), model or f"model-of-{name}") for name in given]


def test_a_chain_of_different_models_keeps_its_order() -> None:
    assert names(Routes(chain("dear", "cheap", "own")), Wish("chat")) == ["dear", "cheap", "own"]


def test_of_providers_of_the_same_model_the_local_one_goes_first_then_the_cheapest() -> None:
    routes = Routes(chain("unknown", "dear", "cheap", "own", model="llama"))
    assert names(routes, Wish("chat")) == ["own", "cheap", "dear", "unknown"]


@pytest.mark.parametrize(
    ("model", "here"),
    [
        ("llama3.2", True),
        ("gpt-oss:120b", True),
        ("hf.co/cloud/cloud:Q4_K_M", True),
        ("my-cloud", True),
        ("glm-4.6:cloud", False),
        ("gpt-oss:120b-cloud", False),
        ("somebody/gpt-oss:120B-Cloud", False),
    ],
)
def test_a_model_that_a_local_server_passes_on_is_not_local(model: str, here: bool) -> None:
    assert Endpoint(provider("own", local=True), model).local is here
    assert not Endpoint(provider("cheap"), model).local


def test_by_price_a_model_that_runs_here_goes_before_one_the_same_server_passes_on() -> None:
    own = provider("own", local=True)
    routes = Routes([Endpoint(own, "glm-4.6:cloud"), Endpoint(own, "llama")], config=RoutingConfig(by="price"))
    assert [each.model for each in routes.choose(Wish("chat"), price)[0]] == ["llama", "glm-4.6:cloud"]


def test_the_preferred_provider_of_each_capability_goes_first() -> None:
    routes = Routes(
        chain("dear", "cheap"), embedders=chain("dear", "cheap"), config=RoutingConfig(chat="cheap", embed="dear")
    )
    assert names(routes, Wish("chat")) == ["cheap", "dear"]
    assert names(routes, Wish("stream")) == ["cheap", "dear"]
    assert names(routes, Wish("embed")) == ["dear", "cheap"]
    assert routes.choose(Wish("chat"), price)[1] == ["cheap is preferred"]


def test_by_price_the_cheapest_known_price_goes_first_and_an_unknown_one_last() -> None:
    routes = Routes(chain("unknown", "dear", "cheap"), config=RoutingConfig(by="price"))
    assert names(routes, Wish("chat")) == ["cheap", "dear", "unknown"]
    assert "0.001" in routes.choose(Wish("chat"), price)[1][0]


def test_by_latency_the_fastest_measured_goes_first_and_changes_when_it_slows_down() -> None:
    given = chain("dear", "cheap")
    routes = Routes(given, config=RoutingConfig(by="latency"))
    routes.latencies.observe(given[0], "chat", 0.2)
    assert names(routes, Wish("chat")) == ["cheap", "dear"], "what was never measured is measured first"
    routes.latencies.observe(given[1], "chat", 0.5)
    assert names(routes, Wish("chat")) == ["dear", "cheap"]
    for _ in range(5):
        routes.latencies.observe(given[0], "chat", 2.0)
    assert names(routes, Wish("chat")) == ["cheap", "dear"]


def test_a_nearly_used_up_budget_puts_the_cheapest_first_whatever_is_preferred() -> None:
    routes = Routes(chain("dear", "cheap", "own"), config=RoutingConfig(chat="dear"))
    assert names(routes, Wish("chat"), thrifty=True) == ["own", "cheap", "dear"]
    assert "budget" in routes.choose(Wish("chat"), price, thrifty=True)[1][0]


def test_the_average_latency_weighs_the_newest_call_by_its_weight() -> None:
    tracker = LatencyTracker(weight=0.5)
    endpoint = Endpoint(provider("a"), "m")
    assert tracker.seconds(endpoint, "chat") is None
    for seconds in (1.0, 3.0, 4.0):
        tracker.observe(endpoint, "chat", seconds)
    assert tracker.seconds(endpoint, "chat") == 3.0
    assert tracker.seconds(endpoint, "stream") is None


def test_latencies_of_many_threads_are_all_taken_in() -> None:
    tracker = LatencyTracker(weight=0.5)
    endpoint = Endpoint(provider("a"), "m")

    def measure() -> None:
        for _ in range(500):
            tracker.observe(endpoint, "chat", 2.0)

    threads = [threading.Thread(target=measure) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tracker.seconds(endpoint, "chat") == 2.0


# -- by name and by need


def test_a_named_model_is_the_only_one_asked() -> None:
    routes = Routes(chain("dear", "cheap"))
    assert [str(each) for each in routes.choose(Wish("chat", model="model-of-cheap"), free)[0]] == [
        "cheap/model-of-cheap"
    ]
    assert [str(each) for each in routes.choose(Wish("chat", model="cheap/other"), free)[0]] == ["cheap/other"]
    assert [str(each) for each in routes.choose(Wish("chat", model="meta-llama/Llama-3"), free)[0]] == [
        "dear/meta-llama/Llama-3"
    ]


def test_endpoints_that_cannot_take_the_question_are_left_out() -> None:
    blind = Endpoint(provider("blind", without=frozenset({"images"})), "m")
    seeing = Endpoint(provider("seeing"), "n")
    routes = Routes([blind, seeing])
    assert routes.choose(Wish("chat", needs=frozenset({"chat", "images"})), free)[0] == [seeing]
    with pytest.raises(RactoGatewayError, match="images"):
        Routes([blind]).choose(Wish("chat", needs=frozenset({"chat", "images"})), free)


def test_no_model_at_all_is_an_error_that_says_what_to_do() -> None:
    for wish in (Wish("chat"), Wish("chat", model="gpt-4o")):
        with pytest.raises(ModelNotAvailableError, match="key"):
            Routes([]).choose(wish, free)


def test_errors_of_routing_are_input_errors() -> None:
    assert issubclass(ConfigError, ValueError)
    assert issubclass(InputError, ValueError)
    assert issubclass(UnknownNameError, InputError)
