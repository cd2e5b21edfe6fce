"""From observation to parsed action: the served nano model against plain `transformers` generate, in one run.

    python benchmarks/step_latency.py                 # about five minutes on two cores
    python benchmarks/step_latency.py --steps 40 --large 5
    python benchmarks/step_latency.py --data data/helpdesk data/miniwob      # questions of recorded episodes
    python benchmarks/step_latency.py --data … --steps 1000 --agree          # the same actions? nothing timed

    served      the actor as it works: the grammar made, the question over HTTP, the answer parsed
    plain       the same checkpoint, prompt and picture by the model's own `generate`, greedy, in this process
    large       a model of SmolVLM-256M's shape with random weights, the same way; it writes as many tokens as
                the recorded answer has, and sees the picture as one tile of 512 pixels (its cheapest)

Without `--data` the questions are those of episodes that the oracle plays at the beginning, in their order.
Prints medians and 95th percentiles in milliseconds, the ratios, how often `plain` chooses the same action,
the processor time of both, which other work on the machine hardly changes, and where it goes. `--agree` asks
the engine twice, with its own forward pass and with `transformers`', both held to the grammar, and `generate`
without it.

Not covered: many clients at once.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psutil
from PIL import Image

from agents import prompts
from agents.actor import ModelPolicy, read
from apps import asked
from apps import engine as engine_module
from apps.batch import Kept, Seen
from apps.engine import Engine
from apps.forward import Transformers
from apps.local_server import local_model
from tools.actions import Action, ActionError
from tools.browser import Browser
from tools.grammar import action_regex
from tools.observation import Observation
from training.registry import resolve
from trajectories.episode import Episode
from trajectories.rollout import oracle_policy, roll_out
from trajectories.store import Store
from trajectories.suites import open_suite

FAMILIES = {
    "helpdesk": ("edit-email", "comment-ticket", "toggle-setting", "open-customer"),
    "miniwob": ("click-checkboxes", "login-user", "email-inbox", "click-tab-2", "choose-list"),
}
Question = tuple[str, Observation, tuple[Action, ...]]  # goal, what is seen, what was done


def questions_of(episode: Episode) -> list[Question]:
    return [
        (episode.goal, step.observation, tuple(episode.actions[:at])) for at, step in enumerate(episode.steps)
    ]


def stored(folders: list[Path], count: int) -> list[Question]:
    """The first few questions of episodes drawn from generated folders (always the same), taking turns."""
    found: list[Question] = []
    stores = [Store(folder / "episodes") for folder in folders]
    drawn = [random.Random(0).sample(sorted(store.ids()), len(store)) for store in stores]
    for turn in zip(*drawn, strict=False):
        for store, id in zip(stores, turn, strict=True):
            found += questions_of(store.load(id))[:4]  # else a long one counts for many
        if len(found) >= count:
            break
    return found[:count]


async def played(count: int) -> list[Question]:
    """Questions of episodes played now, suite and suite in turn."""
    found: list[Question] = []
    async with Browser() as browser:
        for seed in range(100):
            for name, families in FAMILIES.items():
                async with open_suite(name) as suite:
                    env = browser.environment()
                    task = suite.task(families[seed % len(families)], seed)
                    episode = await roll_out(task, oracle_policy(task), env)
                    await env.close()
                found += questions_of(episode)
            if len(found) >= count:
                break
    return found[:count]


def plain(model: Any, processor: Any, question: Question, tokens: int | None = None) -> str:
    """An answer by `generate` itself; with `tokens` of exactly that length."""
    goal, look, history = question
    text = prompts.actor_text(goal, look, history)
    content: list[dict[str, Any]] = [{"type": "text", "text": text}]
    images = None
    if look.screenshot is not None:
        images = [Image.open(io.BytesIO(look.screenshot)).convert("RGB")]
        content.insert(0, {"type": "image"})
    asked = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    inputs = processor(text=asked, images=images, return_tensors="pt")
    length = (
        {"max_new_tokens": 60} if tokens is None else {"max_new_tokens": tokens, "min_new_tokens": tokens}
    )
    out = model.generate(**inputs, **length, do_sample=False)
    said: str = processor.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return said


def large(vocabulary: Any) -> tuple[Any, Any]:
    """SmolVLM-256M's shape (https://huggingface.co/HuggingFaceTB/SmolVLM-256M-Instruct), random weights."""
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, LlamaConfig
    from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
    from transformers.models.idefics3.processing_idefics3 import Idefics3Processor

    from training import nano

    processor = Idefics3Processor(
        Idefics3ImageProcessorPil(
            do_image_splitting=False, size={"longest_edge": 512}, max_image_size={"longest_edge": 512}
        ),
        vocabulary,
        image_seq_len=64,
        chat_template=nano.CHAT_TEMPLATE,
    )
    text = LlamaConfig(
        vocab_size=49280,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        pad_token_id=vocabulary.pad_token_id,
        eos_token_id=vocabulary.eos_token_id,
    )
    vision = Idefics3VisionConfig(
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        image_size=512,
        patch_size=16,
    )
    config = Idefics3Config(
        text_config=text,
        vision_config=vision,
        scale_factor=4,
        image_token_id=vocabulary.convert_tokens_to_ids(nano.IMAGE),
        tie_word_embeddings=True,
    )
    return Idefics3ForConditionalGeneration(config).eval(), processor


class Clock:
    """Milliseconds of each side's steps, and the processor time of this process in them."""

    def __init__(self) -> None:
        self.took: dict[str, list[float]] = defaultdict(list)
        self.busy: dict[str, float] = defaultdict(float)

    @contextmanager
    def step(self, side: str) -> Iterator[None]:
        begun, busy = time.perf_counter(), time.process_time()
        yield
        self.took[side].append(1000 * (time.perf_counter() - begun))
        self.busy[side] += 1000 * (time.process_time() - busy)


def server_busy() -> float:
    """Milliseconds of processor time that the server, our child, has had."""
    servers = [child for child in psutil.Process().children() if "serve" in child.cmdline()]
    return sum(1000 * sum(child.cpu_times()[:2]) for child in servers)


async def measure(questions: list[Question], model: Path, slow: int) -> None:
    """All sides on each question in turn; the large model on the first `slow` only."""
    engine = Engine(model)  # the same model in this process, for `generate`; sets the threads as serving does
    big, big_processor = large(engine.processor.tokenizer) if slow else (None, None)
    clock = Clock()
    agree = invalid = 0
    tokens: list[tuple[int, int]] = []
    async with local_model(str(model)) as endpoint:
        policy = ModelPolicy(endpoint)
        await policy.decide(*questions[0])  # the first request loads and compiles what is needed
        plain(engine.model, engine.processor, questions[0])
        before = server_busy()
        for number, question in enumerate(questions):
            with clock.step("served"):
                decision = await policy.decide(*question)
            tokens.append((decision.prompt_tokens, decision.completion_tokens))
            with clock.step("plain"):
                said = plain(engine.model, engine.processor, question)
            try:
                agree += read(said, question[1]) == decision.action
            except ActionError:
                invalid += 1
            if number < slow:
                length = len(engine.processor.tokenizer(decision.said).input_ids) + 1
                with clock.step("large"):
                    plain(big, big_processor, question, length)
        server = server_busy() - before
        await policy.close()
    took, count = clock.took, len(questions)
    for name, values in took.items():
        tail = quantiles(values, n=20)[-1] if len(values) > 1 else values[0]
        print(f"{name}: p50 {median(values):.1f} ms, p95 {tail:.1f} ms, {len(values)} steps")
    prompt, answer = (median(counts) for counts in zip(*tokens, strict=True))
    print(f"tokens: {prompt:.0f} asked and {answer:.0f} answered in the middle")
    print(f"ratio to plain: {median(took['plain']) / median(took['served']):.2f}")
    if took["large"]:
        ratio = median(took["large"]) / median(took["served"][: len(took["large"])])
        print(f"ratio to large: {ratio:.1f}")
    print(f"plain chose the same action in {agree} of {count}, no action of this page in {invalid}")
    served = clock.busy["served"] + server
    print(
        f"processor time of a step: served {served / count:.1f} ms, {server / count:.1f} of it the server's; "
        f"plain {clock.busy['plain'] / count:.1f}; ratio {clock.busy['plain'] / served:.2f}"
    )
    _where(engine, questions, served)


def _asked(question: Question) -> bytes:
    """The request that the actor's client sends."""
    goal, look, history = question
    said = prompts.messages("actor", prompts.actor_text(goal, look, history), look.screenshot, brief=True)
    grammar = {"regex": action_regex(look, sources=[goal])}
    return json.dumps({"messages": said, "max_tokens": 200, "structured_outputs": grammar}).encode()


def _where(engine: Engine, questions: list[Question], served: float) -> None:
    """Mean processor time of each part of a served answer, done again here; HTTP is what remains."""
    spent: dict[str, float] = defaultdict(float)

    def watch(owner: Any, method: str, name: str) -> Callable[..., Any]:
        inner = getattr(owner, method)

        def outer(*args: Any, **kwargs: Any) -> Any:
            begun = time.thread_time()
            try:
                return inner(*args, **kwargs)
            finally:
                spent[name] += 1000 * (time.thread_time() - begun)

        setattr(owner, method, outer)
        return outer

    ask = watch(engine, "generate", "")
    read_request = watch(asked, "read", "request read, PNG decoded")
    watch(engine_module, "shrunk", "picture shrunk")
    watch(engine, "_inputs", "prompt to tensors")
    watch(engine._automata, "get", "automaton")
    watch(engine.forward, "look", "picture through the model")
    watch(engine.forward, "run", "text through the model")
    for question in questions:
        begun = time.thread_time()
        body = _asked(question)
        spent["request made"] += 1000 * (time.thread_time() - begun)
        request = read_request(body, "")
        ask(request.messages, request.images, regex=request.regex, max_tokens=request.max_tokens)
    inside = ("picture shrunk", "prompt to tensors", "automaton")
    inside += ("picture through the model", "text through the model")
    spent["tokens chosen"] = spent.pop("") - sum(spent[name] for name in inside)
    spent["HTTP, and the answer parsed"] = served - sum(spent.values())
    print("where: " + ", ".join(f"{name} {ms / len(questions):.1f}" for name, ms in spent.items()))


def agree(questions: list[Question], model: Path) -> None:
    """How often the engine's own forward pass, and `generate`, choose the action that `transformers` does."""
    engine = Engine(model)
    own, theirs = engine.forward, Transformers(engine.model)
    same = alike = free = 0
    for question in questions:
        request = asked.read(_asked(question), "")
        texts = []
        for forward in (own, theirs):
            engine.forward, engine.kept, engine.seen = forward, Kept(forward), Seen()
            [answer] = engine.generate(
                request.messages, request.images, regex=request.regex, max_tokens=request.max_tokens
            )
            texts.append(answer.text)
        actions = [read(text, question[1]) for text in texts]
        same += actions[0] == actions[1]
        alike += texts[0] == texts[1]
        try:
            free += read(plain(engine.model, engine.processor, question), question[1]) == actions[0]
        except ActionError:
            continue
    count = len(questions)
    print(
        f"the engine's forward pass and transformers': the same action in {same} of {count} ({alike} texts)"
    )
    print(f"generate, held to no grammar: the same action in {free} of {count}")


async def run(args: argparse.Namespace) -> None:
    questions = stored(args.data, args.steps) if args.data else await played(args.steps)
    model = await asyncio.to_thread(resolve, args.model)
    if args.agree:
        agree(questions, model)
    else:
        await measure(questions, model, args.large)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--steps", type=int, default=120, help="questions (default: 120)")
    parser.add_argument("--large", type=int, default=20, help="of them for the large model (default: 20)")
    parser.add_argument("--model", help="folder or version (default: the champion, else the released one)")
    parser.add_argument("--data", type=Path, nargs="+", help="what `generate` made (default: play some now)")
    parser.add_argument("--agree", action="store_true", help="compare the actions, time nothing")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
