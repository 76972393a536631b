// The tab of drawings: a pad for each class, one to try, and an answer after each stroke.

import { Lesson, file, get, latest } from "./api.js";
import { $, copyOf, el, freeName, save, showLines, warn } from "./dom.js";
import { Answers, best, colour } from "./answers.js";
import { Pad, thumbnail } from "./pad.js";
import { keepModel } from "./keep.js";

const NAMES = ["zup", "wem", "lor", "kif", "nad", "tiv", "bo", "ras", "mun", "gel", "pix", "hob", "sarn", "dup", "yel"];
const FIRST = 3; // cards of an empty page
const KEPT = "quickstudy-drawings"; // in the browser, until its tab is closed

const lesson = new Lesson("api/draw");
let begun;
let classes = []; // { name, drawings, at, card, pad }: drawings[at] is on the pad
let version = 0; // of what is taught
let answers;
let trying;
let seen; // the answer whose image is shown

/** Those that have a name and a drawing. */
const taught = () => classes.filter((one) => one.drawings.some((drawing) => drawing.length));
const examples = () =>
  taught().map((one) => ({ name: one.name, examples: one.drawings.filter((drawing) => drawing.length) }));

/** Set up the tab; ``begin`` is what the server said. */
export function setUp(begin) {
  begun = begin;
  $("line").textContent = begin.line && `It has never seen these; it learned how to learn from ${begin.line}.`;
  if (begin.noDrawings) {
    $("no-drawings").textContent = begin.noDrawings;
    $("no-drawings").hidden = false;
    $("draw-sides").hidden = true;
    return;
  }
  answers = new Answers($("draw-answer"), learnTried);
  trying = new Pad(document.querySelector(".try .board"), () => ask());
  trying.label("Pad to try: draw one of the characters");
  $("start-over").onclick = () => restart();
  $("show-me").onclick = showMe;
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => seen && sees());
  keepModel($("draw-keep"), {
    zip: async () => save(await file("api/draw/zip", { classes: examples() }), "drawings.zip"),
    onnx: async () => save(await file("api/draw/onnx", { classes: examples() }), "characters.onnx"),
    lines: async () => showLines(begin.lines.drawings),
  });
  const kept = restored();
  restart(kept ?? begin.drawings.map((one) => ({ name: one.name, drawings: one.examples })));
}

/** So that it is there when the page is loaded again. */
function remember() {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify({ id: begun.id, classes: classes.map(({ name, drawings }) => ({ name, drawings })) }));
  } catch {
    // More than the browser keeps for a page: then it is not there.
  }
}

function restored() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEPT));
    return kept.id === begun.id ? kept.classes : null;
  } catch {
    return null;
  }
}

function restart(these = []) {
  classes = [];
  $("draw-classes").replaceChildren(moreCard());
  for (const one of these) add(one.name, one.drawings);
  while (classes.length < FIRST) add();
  trying.set([]);
  changed();
}

function moreCard() {
  const more = copyOf("more-class");
  more.querySelector("span").textContent = "Another one";
  more.querySelector("button").onclick = () => {
    const one = add();
    changed();
    one.card.querySelector(".pad").focus();
  };
  return more;
}

function add(name, drawings = [[]]) {
  const card = copyOf("drawn-class");
  const one = { name: name ?? freeName(classes.map((other) => other.name), NAMES), drawings, at: 0, card };
  classes.push(one);
  $("draw-classes").insertBefore(card, $("draw-classes").lastElementChild);
  one.pad = new Pad(card.querySelector(".board"), () => {
    one.drawings[one.at] = one.pad.strokes;
    changed();
  });
  one.pad.set(one.drawings[0]);
  const input = card.querySelector(".name");
  input.value = one.name;
  input.onfocus = () => input.select();
  input.oninput = () => {
    one.name = input.value.trim();
    changed();
  };
  input.onkeydown = (event) => event.key === "Enter" && input.blur();
  card.querySelector(".again").onclick = () => {
    one.drawings.push([]);
    turn(one, one.drawings.length - 1);
    card.querySelector(".pad").focus();
  };
  card.querySelector(".remove").onclick = () => {
    classes.splice(classes.indexOf(one), 1);
    card.remove();
    changed();
    $("draw-classes").querySelector(".more button").focus();
  };
  return one;
}

/** What is taught has changed: show it, keep it, and ask again what is tried. */
function changed() {
  version += 1;
  const names = classes.map((one) => one.name);
  classes.forEach((one, i) => {
    one.card.className = `card ${colour(i)}`;
    one.pad.label(`Pad of ${one.name || "a character without a name"}, drawing ${one.at + 1} of ${one.drawings.length}`);
    const input = one.card.querySelector(".name");
    input.setAttribute("aria-label", `Name of character ${i + 1}`);
    const wrong = !one.name || names.indexOf(one.name) !== names.lastIndexOf(one.name);
    input.setAttribute("aria-invalid", wrong);
    input.title = wrong ? "Each needs a name of its own" : "";
    const remove = one.card.querySelector(".remove");
    remove.title = `Remove ${one.name}`;
    remove.setAttribute("aria-label", remove.title);
    remove.disabled = classes.length < 2;
    strip(one);
  });
  $("draw-classes").lastElementChild.hidden = classes.length >= begun.most.classes;
  $("draw-keep").hidden = taught().length < 2;
  remember();
  ask();
}

/** A character's drawings, small, once there are several; and the button for one more. */
function strip(one) {
  const again = one.card.querySelector(".again");
  again.hidden = one.drawings.length >= begun.most.examples || one.drawings.some((drawing) => !drawing.length);
  again.title = `Draw ${one.name || "it"} once more`;
  again.setAttribute("aria-label", again.title);
  const place = one.card.querySelector(".strip");
  place.hidden = one.drawings.length < 2;
  place.setAttribute("aria-label", `Drawings of ${one.name}`);
  const shown = one.drawings.map((drawing, i) => {
    const canvas = el("canvas", { "aria-hidden": "true" });
    const button = el("button", { type: "button", class: "thumb", "aria-label": `Drawing ${i + 1}`, onclick: () => turn(one, i) }, canvas);
    button.setAttribute("aria-pressed", i === one.at);
    thumbnail(canvas, drawing);
    return button;
  });
  place.replaceChildren(...(one.drawings.length > 1 ? shown : []));
  // On a canvas that is not in the page yet nothing has a colour.
  shown.forEach((button, i) => button.isConnected && thumbnail(button.firstElementChild, one.drawings[i]));
}

/** Put another drawing of a character on its pad; those that were left empty go. */
function turn(one, at) {
  const wanted = one.drawings[at];
  one.drawings = one.drawings.filter((drawing) => drawing.length || drawing === wanted);
  one.at = one.drawings.indexOf(wanted);
  one.pad.set(wanted);
  changed();
}

function learnTried(i) {
  const one = taught()[i];
  one.drawings = [...one.drawings.filter((drawing) => drawing.length), trying.strokes].slice(-begun.most.examples);
  one.at = one.drawings.length - 1;
  one.pad.set(one.drawings[one.at]);
  trying.set([]);
  changed();
  document.querySelector(".try .pad").focus();
}

const ask = latest($("draw-answer"), async () => {
  const known = taught();
  const drawing = trying.strokes;
  for (const one of classes) one.card.classList.remove("meant");
  if (known.length < 2 || !drawing.length) {
    $("sees").hidden = true;
    $("took").textContent = "";
    answers.hint(known.length < 2 ? "Draw two or more characters, each on a pad of its own." : "");
    if (known.length < 2) return;
  }
  const start = performance.now();
  try {
    // Without a drawing it learns already, so that the first answer has not to wait for that.
    const answer = await lesson.ask(version, examples, drawing.length ? { drawing } : {});
    if (!drawing.length || drawing !== trying.strokes) return;
    answers.show(known.map((one) => one.name), answer.shares, begun.canDoubt);
    known[best(answer.shares)]?.card.classList.add("meant");
    $("took").textContent = `${Math.round(performance.now() - start)} ms`;
    seen = answer;
    sees();
  } catch (error) {
    answers.hint(error.message);
  }
});

/** The image that the learner was shown last. */
function sees() {
  const { seen: written, size } = seen;
  const bytes = Uint8Array.from(atob(written), (c) => c.charCodeAt(0));
  const canvas = $("sees");
  canvas.hidden = false;
  canvas.width = canvas.height = size;
  const [red, green, blue] = getComputedStyle(canvas).color.match(/\d+/g).map(Number);
  const pixels = new ImageData(size, size);
  bytes.forEach((value, i) => pixels.data.set([red, green, blue, value], 4 * i));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** Five characters, and one of them drawn again. */
async function showMe() {
  try {
    const shown = await get("examples.json");
    restart(shown.classes.map(({ name, drawings }) => ({ name, drawings })));
    document.querySelector(".try").scrollIntoView({ block: "nearest", behavior: "smooth" });
    await replay(shown.tries[Math.floor(Math.random() * shown.tries.length)]);
  } catch (error) {
    warn(error);
  }
}

/** Strokes as a hand draws them, each answered when it ends. */
async function replay(strokes) {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  for (let i = 0; i < strokes.length; i++) {
    const before = strokes.slice(0, i);
    for (let end = 2; end < strokes[i].length && !still; end += 4) {
      trying.set([...before, strokes[i].slice(0, end)]);
      await pause(16);
    }
    trying.set(strokes.slice(0, i + 1), true);
    await pause(still ? 0 : 250);
  }
}
