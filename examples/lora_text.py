"""A language model that learns to classify texts from a few examples: MAML on its LoRA weights (transformers, peft).

    pip install 'quickstudy[text]'
    python examples/lora_text.py

The weights of the Hugging Face model are frozen; only the low-rank matrices that peft adds and the classifier's head
are meta-learned, and only they adapt to a task. The model here is a tiny BERT with random weights, so that nothing is
downloaded; ``AutoModel.from_pretrained(NAME)`` and its tokenizer take its place.

The language is made up: each of its 16 ideas can be said in 8 words, and a text about a topic, a pair of ideas, mixes
their words with filler. The topics of the test are pairs never met in training, and a new text mostly says it in words
that the one labelled text did not use. So whoever has learned from many tasks which words mean the same does better.
"""

import argparse

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn
from transformers import BertConfig, BertModel

import quickstudy as qs

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--steps", type=int, default=600, help="outer steps")
parser.add_argument("--test-tasks", type=int, default=200, help="tasks of each test; the intervals are 95%% over tasks")
given = parser.parse_args()
torch.set_num_threads(1)  # enough for so small a model

IDEAS, WORDS, FILLER, LENGTH = 16, 8, 40, 12
VOCABULARY = FILLER + IDEAS * WORDS


def write(topic: tuple[int, int], texts: int, rng: torch.Generator) -> torch.Tensor:
    """Token ids ``[texts, LENGTH]``: every word is filler, or one of the words of one of the topic's two ideas."""
    shape = (texts, LENGTH)
    idea = torch.tensor(topic)[torch.randint(2, shape, generator=rng)]
    meaningful = FILLER + idea * WORDS + torch.randint(WORDS, shape, generator=rng)
    return torch.where(torch.rand(shape, generator=rng) < 0.5, meaningful, torch.randint(FILLER, shape, generator=rng))


class TextClassifier(nn.Module):
    """Token ids ``[n, length]`` to logits ``[n, way]``."""

    def __init__(self, encoder: nn.Module, width: int, way: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(width, way)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(input_ids=ids).last_hidden_state.mean(1))


# Every pair of ideas is a topic; half of them for training, the others for the test, 20 texts of each.
rng = torch.Generator().manual_seed(0)
topics = torch.combinations(torch.arange(IDEAS))
x = torch.cat([write(tuple(topic.tolist()), 20, rng) for topic in topics])
y = torch.arange(len(topics)).repeat_interleave(20)
splits = qs.tasks.split_classes(y, fractions=(0.5, 0.5))
train, test = (qs.tasks.episodes_from((x, y), way=5, shot=1, query=5, classes=classes) for classes in splits)
print(train.describe())

torch.manual_seed(0)
config = BertConfig(
    vocab_size=VOCABULARY,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=64,
    max_position_embeddings=LENGTH,
)
lora = LoraConfig(r=8, lora_alpha=16, target_modules=["word_embeddings", "query", "value", "dense"])
encoder = inject_adapter_in_model(lora, BertModel(config, add_pooling_layer=False))  # freezes all but its own
model = TextClassifier(encoder, config.hidden_size, train.outputs)
counts = [sum(p.numel() for p in model.parameters() if p.requires_grad or not only) for only in (True, False)]
print(f"{counts[0]:,} of {counts[1]:,} weights adapt")

learner = qs.MAML(model, inner_lr=0.5, inner_steps=3)


def tell(when: str) -> None:
    """Accuracy on unseen topics after the learner's own 3 steps and, to be fair to no training, after 10."""
    for scored in qs.evaluate(learner, test, n_tasks=given.test_tasks, steps=10, at=(3, 10)).by_step:
        accuracy = f"{100 * scored.mean:.1f}% ± {100 * scored.ci95:.1f}"
        print(f"{when} meta-training, after {scored.step:2} steps on 5 texts: {accuracy}")


tell("before")
qs.train(learner, train, steps=given.steps, meta_batch=4, meta_lr=1e-2, schedule="cosine", clip=10.0)
tell("after")
