"""Makes the model that bench/real.py asks: a small Llama that has learned this project's README by heart, with a tokenizer made from it.

    .peers/transformers/bin/python bench/real_model.py FOLDER

It runs in the environment of `transformers serve`, which is apart from ours, and takes nothing from anywhere else. The words are ASCII, so that
a byte-level token is never half a character and a stream has the same text as a whole answer, wherever it ends.
"""

import sys
from pathlib import Path

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

README = Path(__file__).parent.parent / "README.md"
VOCABULARY = 1_000
CONTEXT = 2_048
STEPS, BATCH, TOKENS = 150, 8, 128
_SPECIAL = ("<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def main() -> None:
    folder = Path(sys.argv[1])
    torch.manual_seed(0)
    torch.set_num_threads(1)
    text = README.read_text(encoding="utf-8").encode("ascii", "ignore").decode()
    tokenizer = tokenizer_of(text)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.eos_token_id,
        )
    )
    learn(model, torch.tensor(tokenizer(text)["input_ids"]))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def tokenizer_of(text: str) -> PreTrainedTokenizerFast:
    """A byte-level one, with a template for conversations."""
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator([text], vocab_size=VOCABULARY, special_tokens=list(_SPECIAL))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer, eos_token=_SPECIAL[0], pad_token=_SPECIAL[0])
    tokenizer.chat_template = _TEMPLATE
    return tokenizer


def learn(model: LlamaForCausalLM, ids: torch.Tensor) -> None:
    """Some steps over pieces of the text, so that its answers are words and no two of them alike."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(STEPS):
        starts = torch.randint(0, len(ids) - TOKENS, (BATCH,))
        batch = torch.stack([ids[start : start + TOKENS] for start in starts])
        optimizer.zero_grad()
        model(input_ids=batch, labels=batch).loss.backward()
        optimizer.step()


if __name__ == "__main__":
    main()
