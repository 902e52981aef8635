"""A small encoder by hand: what `freehold train TASK --method encoder --base DIR` does, read from top to bottom. Needs `freehold[train]`.

    python examples/encoder.py

The base is made here, with random weights, so that nothing is downloaded; a real one knows language already. It is tuned to tell three kinds of
question apart, written as ONNX in int8, and answers from that without torch. Source: Devlin et al. (NAACL 2019).
"""

import random
import tempfile
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import BertConfig, BertModel

from freehold.routing.network import MODEL, TOKENIZER, Network
from freehold.training import bert

FRAMES = {
    "book": ["a table for {n} on {day}", "{day} for {n} please"],
    "cancel": ["cancel {day}", "we will not come {day}"],
    "ask": ["when do you open on {day}", "is {day} free"],
}
ANSWERS = sorted(FRAMES)

# 1. Questions.
rng = random.Random(0)  # noqa: S311 no secret
rows = []
for _ in range(300):
    kind = rng.choice(ANSWERS)
    rows.append(
        (rng.choice(FRAMES[kind]).format(n=rng.randint(2, 9), day=rng.choice(["monday", "friday", "may 3rd"])), ANSWERS.index(kind))
    )
train, test = rows[:240], rows[240:]

# 2. A base: a tokenizer of whole words, and a BERT of two narrow layers.
vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *sorted({word for text, _ in train for word in text.split()})]
tokenizer = Tokenizer(models.WordPiece({word: n for n, word in enumerate(vocabulary)}, unk_token="[UNK]"))  # noqa: S106 a sign, no password
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
shape = bert.Bert(
    model_type="bert",
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=64,
    vocab_size=len(vocabulary),
    max_position_embeddings=32,
)
torch.manual_seed(0)
body = BertModel(BertConfig(**{name: getattr(shape, name) for name in shape.__struct_fields__}), add_pooling_layer=False)
top = nn.Linear(shape.hidden_size, len(ANSWERS))

# 3. Tuning: the mean of the tokens of a text, a linear layer, cross-entropy. Texts of one length go together, so that nothing is padded.
ids = [tokenizer.encode(text).ids for text, _ in train]
by_length = {n: [k for k, one in enumerate(ids) if len(one) == n] for n in sorted({len(one) for one in ids})}
optimizer = torch.optim.AdamW([*body.parameters(), *top.parameters()], lr=2e-3)
for epoch in range(6):
    losses = []
    for some in by_length.values():
        for start in range(0, len(some), 32):
            batch = some[start : start + 32]
            last = body(input_ids=torch.tensor([ids[k] for k in batch])).last_hidden_state
            loss = nn.functional.cross_entropy(top(last.mean(1)), torch.tensor([train[k][1] for k in batch]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}")

# 4. The same weights as an ONNX graph, in int8; from here on torch is not needed.
weights = {name: each.detach().numpy() for name, each in body.state_dict().items()}
graph = bert.graph(shape, weights, 32, bert.pooled(top.weight.detach().numpy(), top.bias.detach().numpy()))
with tempfile.TemporaryDirectory() as folder:
    bert.write_model(graph, Path(folder) / MODEL, fp32=False)
    files = {MODEL: (Path(folder) / MODEL).read_bytes(), TOKENIZER: tokenizer.to_str().encode()}
network = Network(files, max_tokens=32)
right = sum(int(network.scores(text).argmax()) == kind for text, kind in test)
print(f"{right} of {len(test)} answers are right")
