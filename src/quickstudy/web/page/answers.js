// An answer: what it is, in a word, and a bar for every class and for none of them.

import { el, iconButton, percent, tell } from "./dom.js";

export const NONE = "none of these";

/** The class with the largest share; its number is -1 for none of them, whose share comes last. */
export function best(shares) {
  const at = shares.indexOf(Math.max(...shares));
  return at === shares.length - 1 ? -1 : at;
}

/** Class ``i``'s colour; there are five, and a sixth for none of them. */
export const colour = (i) => (i < 0 ? "c5" : `c${i % 5}`);

export class Answers {
  #place;
  #word = el("p", { class: "word" });
  #bars = el("ul", { class: "bars", "aria-label": "How likely each is" });
  #learn;

  /** ``learn(i)`` is called when a person says that it is class ``i`` (left out: nobody is asked). */
  constructor(place, learn) {
    this.#place = place;
    this.#learn = learn;
    place.append(this.#word, this.#bars);
  }

  /** A hint in place of an answer. */
  hint(text) {
    this.#place.dataset.best = "";
    this.#word.className = "word soft";
    this.#word.textContent = text;
    this.#bars.replaceChildren();
  }

  /** Show an answer; rows stay where they are, so that bars grow and shrink. */
  show(names, shares, canDoubt = true) {
    const top = best(shares);
    const said = top < 0 ? NONE : names[top];
    const changed = this.#place.dataset.best !== said;
    this.#place.dataset.best = said;
    this.#word.className = `word ${colour(top)}`;
    this.#word.textContent = top < 0 ? "None of these" : said;
    const rows = canDoubt ? [...names, NONE] : names;
    while (this.#bars.children.length > rows.length) this.#bars.lastElementChild.remove();
    rows.forEach((name, i) => this.#row(i, name, shares[i], i === rows.length - 1 && canDoubt, i === top));
    const sure = percent(top < 0 ? shares.at(-1) : shares[top]);
    if (changed) tell(top < 0 ? `None of these, ${sure}.` : `It is ${said}, ${sure}.`);
  }

  #row(i, name, share, isNone, isBest) {
    const row = this.#bars.children[i] ?? this.#bars.appendChild(this.#newRow());
    const [label, bar, number, slot] = row.children;
    row.className = `${colour(isNone ? -1 : i)}${isBest || (isNone && this.#place.dataset.best === NONE) ? " best" : ""}`;
    label.textContent = label.title = name;
    bar.firstElementChild.style.transform = `scaleX(${share.toFixed(4)})`;
    number.textContent = percent(share);
    if (!this.#learn) return;
    const says = `It is ${name}: learn this one, too`;
    if (isNone) slot.replaceChildren();
    else if (slot.firstElementChild?.title !== says) slot.replaceChildren(iconButton("add", says, () => this.#learn(i)));
  }

  #newRow() {
    const bar = el("span", { class: "track", "aria-hidden": "true" }, el("span", { class: "fill" }));
    return el("li", {}, el("span", { class: "label" }), bar, el("span", { class: "number" }), el("span", { class: "slot" }));
  }
}
