"""The arithmetic example: its problems are right, its split is clean and its models load."""

import json
import random
import re
from itertools import islice
from pathlib import Path

import pytest
from problems import CATEGORIES, OUT_OF_DISTRIBUTION, calculate, is_heldout, problem, problems
from prompts import splits, write_all

ARITHMETIC = Path(__file__).parents[2] / "examples" / "arithmetic"
MODELS = ("teacher", "student-base")
COUNTS = {"train": 300, "heldout": 60, "ood": 40}
EQUATION = re.compile(r"(\d+)([-+*/])(\d+)=(\d+)")


@pytest.fixture(scope="module", params=MODELS)
def tokenizer(request):
    transformers = pytest.importorskip("transformers")
    return transformers.AutoTokenizer.from_pretrained(ARITHMETIC / request.param)


def conversation(**reply):
    return [{"role": "user", "content": "How many?"}, {"role": "assistant", **reply}]


@pytest.mark.parametrize("category", [*CATEGORIES, *OUT_OF_DISTRIBUTION])
def test_the_reasoning_holds_and_ends_in_the_answer(category):
    for item in islice(problems(3, (category,)), 300):
        steps = [
            (int(left), sign, int(right), int(result)) for left, sign, right, result in EQUATION.findall(item.reasoning)
        ]
        assert steps, item
        assert all(calculate(left, sign, right) == result for left, sign, right, result in steps), item
        assert steps[-1][3] == item.answer, item
        assert f"\\boxed{{{item.answer}}}" in item.response


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_reasoning_starts_from_numbers_the_prompt_gives(category):
    for item in islice(problems(4, (category,)), 100):
        given, left = set(re.findall(r"\d+", item.prompt)), EQUATION.search(item.reasoning)
        assert left.group(1) in given, item


def test_one_problem_is_reasoned_about_in_different_words():
    texts = {
        item.reasoning.translate(str.maketrans("", "", "0123456789"))
        for item in islice(problems(5, ("two_step",)), 200)
    }
    assert len(texts) > 100


def test_an_unknown_category_is_an_error():
    with pytest.raises(KeyError):
        problem(random.Random(0), "four_step")


def test_the_same_seed_writes_the_same_bytes_and_another_seed_does_not(tmp_path):
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_all(tmp_path / folder, seed, COUNTS)
    for split in COUNTS:
        a, b, c = ((tmp_path / folder / f"{split}.jsonl").read_bytes() for folder in "abc")
        assert a == b
        assert a != c


def test_no_prompt_occurs_twice_within_or_across_splits():
    prompts = [item.prompt for items in splits(0, COUNTS).values() for item in items]
    assert len(prompts) == len(set(prompts)) == sum(COUNTS.values())


def test_the_checksum_keeps_train_and_heldout_apart():
    made = splits(0, COUNTS)
    assert not any(is_heldout(item.prompt) for item in made["train"])
    assert all(is_heldout(item.prompt) for item in made["heldout"])


def test_about_one_prompt_in_twenty_is_held_out():
    share = sum(is_heldout(item.prompt) for item in islice(problems(6, CATEGORIES), 4000)) / 4000
    assert 0.035 < share < 0.065


def test_every_split_covers_its_categories_evenly():
    made = splits(0, COUNTS)
    for split, categories in (("train", CATEGORIES), ("heldout", CATEGORIES), ("ood", OUT_OF_DISTRIBUTION)):
        counts = {category: sum(item.category == category for item in made[split]) for category in categories}
        assert set(counts.values()) == {COUNTS[split] // len(categories)}


def test_a_line_is_a_native_prompt_line(tmp_path):
    write_all(tmp_path, 0, {"train": 1, "heldout": 0, "ood": 0})
    line = json.loads((tmp_path / "train.jsonl").read_text())
    assert line.pop("prompt").endswith("?")
    assert line.pop("reference").isdigit()
    assert line == {
        "id": "train-000001",
        "verifier": "math",
        "category": CATEGORIES[0],
        "source": "retort-arithmetic",
        "license": "apache-2.0",
    }


@pytest.mark.parametrize(
    "text",
    ["Ben has 7 bags.", "7*30=210, 7*4=28", " \n\n  x \t", "äß €5 ¾ 漢字 🙂", "\\boxed{29}", "<think>\n1</think>\n\n"],
)
def test_decoding_gives_back_what_was_encoded(tokenizer, text):
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_digits_stand_alone_and_boxed_is_one_token(tokenizer):
    assert tokenizer.tokenize("1234") == ["1", "2", "3", "4"]
    assert tokenizer.tokenize("\\boxed{") == ["\\boxed", "{"]


def test_the_think_tags_survive_decoding_without_special_tokens(tokenizer):
    ids = tokenizer("<think>\n1+1=2\n</think>\n\n2<|im_end|>").input_ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == "<think>\n1+1=2\n</think>\n\n2"


@pytest.mark.parametrize("thinking", [{}, {"enable_thinking": True}, {"enable_thinking": False}])
@pytest.mark.parametrize(
    "reply",
    [
        {"reasoning": "1+1=2.", "content": "2"},
        {"content": "2"},
        {"content": "\n\n 2"},
        {"reasoning": "\n1.\n", "content": "\n\n2"},
    ],
)
def test_the_prompt_is_a_token_prefix_of_the_conversation(tokenizer, reply, thinking):
    chat = conversation(**reply)
    prompt = tokenizer.apply_chat_template(chat[:1], add_generation_prompt=True, return_dict=False, **thinking)
    whole = tokenizer.apply_chat_template(chat, return_dict=False, **thinking)
    assert whole[: len(prompt)] == prompt
    assert len(whole) > len(prompt)


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_the_reasoning_is_rendered_under_either_name(tokenizer, field):
    text = tokenizer.apply_chat_template(conversation(**{field: "\n1+1=2.\n"}, content="\n\n2"), tokenize=False)
    assert text.endswith("<|im_start|>assistant\n<think>\n1+1=2.\n</think>\n\n2<|im_end|>\n")


def test_the_model_writes_the_think_tag_unless_thinking_is_off(tokenizer):
    asked = conversation()[:1]
    rendered = {
        flag: tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True, enable_thinking=flag)
        for flag in (True, False)
    }
    assert rendered[True].endswith("<|im_start|>assistant\n")
    assert rendered[False].endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")


@pytest.mark.parametrize(
    ("flag", "learnt"), [(True, "<think>\n1+1=2.\n</think>\n\n2<|im_end|>"), (False, "2<|im_end|>")]
)
def test_the_loss_covers_what_the_assistant_wrote_and_its_stop(tokenizer, flag, learnt):
    chat = conversation(reasoning="1+1=2.", content="2")
    out = tokenizer.apply_chat_template(chat, return_dict=True, return_assistant_tokens_mask=True, enable_thinking=flag)
    ids = [i for i, inside in zip(out["input_ids"], out["assistant_masks"], strict=True) if inside]
    assert tokenizer.decode(ids) == learnt


@pytest.mark.parametrize("name", MODELS)
def test_a_committed_model_is_small_and_holds_final_files_only(name):
    files = {path.name: path.stat().st_size for path in (ARITHMETIC / name).iterdir()}
    assert sum(files.values()) <= 4 * 2**20
    assert {"config.json", "generation_config.json", "tokenizer.json", "model.safetensors", "README.md"} <= set(files)
    assert not any((ARITHMETIC / name).glob("*/"))


def test_both_models_share_one_tokenizer():
    for file in ("tokenizer.json", "chat_template.jinja"):
        first, second = ((ARITHMETIC / name / file).read_bytes() for name in MODELS)
        assert first == second


@pytest.mark.parametrize(
    ("name", "parameters", "lowest", "highest"), [("teacher", 853_376, 12, 20), ("student-base", 372_576, 0, 0)]
)
def test_a_committed_model_loads_and_answers(name, parameters, lowest, highest):
    transformers = pytest.importorskip("transformers")
    from evaluation import answer, heldout, is_right

    model = transformers.AutoModelForCausalLM.from_pretrained(ARITHMETIC / name, dtype="float32")
    tokenizer = transformers.AutoTokenizer.from_pretrained(ARITHMETIC / name)
    assert model.num_parameters() == parameters
    items = heldout(20, CATEGORIES[:1])
    replies = answer(model, tokenizer, [item.prompt for item in items], temperature=0)
    assert lowest <= sum(is_right(reply, item.answer) for reply, item in zip(replies, items, strict=True)) <= highest
