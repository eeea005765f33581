"""The tokenizer both models share: byte-level BPE of 512 tokens with a ChatML template in Qwen3's manner."""

from itertools import islice

from problems import CATEGORIES, problems
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

VOCABULARY = 512
END, START, STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
PLAIN_ADDED = ("<think>", "</think>", "\\boxed")
"""Added but not `special`: servers drop special tokens from the text before they look for the end of the reasoning."""

WORDS = r"\p{N}| ?\p{L}+| ?[^\s\p{L}\p{N}]+(?: (?=\p{N}))?|[\r\n]+|[^\S\r\n]+(?!\S)|\s+"
"""Single digits, so that numbers line up; the space before one goes with the punctuation, to save tokens. Runs of
newlines stay whole whatever follows, so that a rendered prompt is always a token prefix of the whole conversation."""

CHAT_TEMPLATE = """\
{%- for message in messages %}
{%- if message.role != 'assistant' %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- else %}
{{- '<|im_start|>assistant\\n' }}
{%- set reasoning = message.reasoning_content or message.reasoning or '' %}
{%- set no_think = enable_thinking is defined and enable_thinking is false %}
{%- if no_think %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- generation %}
{%- if reasoning and not no_think %}{{- '<think>\\n' + reasoning.strip('\\n') + '\\n</think>\\n\\n' }}{%- endif %}
{{- (message.content or '').lstrip('\\n') + '<|im_end|>' }}
{%- endgeneration %}
{{- '\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}"""
"""`<think>` is the model's to write; with `enable_thinking` false the empty block is part of the prompt, outside the
generation markers, so that skipping the reasoning is never learnt as an answer."""


def build_tokenizer(examples: int = 6000) -> PreTrainedTokenizerFast:
    """Train on `examples` ordinary problems; the same tokens every time."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(PLAIN_ADDED),
        special_tokens=[END, START, STOP],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    drawn = islice(problems(1, CATEGORIES, heldout=False), examples)
    bpe.train_from_iterator(
        (f"user\n{p.prompt}\nassistant\n{p.reasoning}\n\n{p.response}".replace("\\boxed", "") for p in drawn), trainer
    )
    bpe.add_tokens([AddedToken(token, special=False, normalized=False) for token in PLAIN_ADDED])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=STOP,
        pad_token=END,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=512,
        padding_side="left",
    )
