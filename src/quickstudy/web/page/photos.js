// The tab of photos: classes of images, new ones that are sorted into them, and the camera.

import { Lesson, file, latest } from "./api.js";
import { Answers, NONE, best, colour } from "./answers.js";
import * as camera from "./camera.js";
import { $, copyOf, el, freeName, iconButton, percent, save, showLines, tell, warn } from "./dom.js";
import { dropPlace, readable } from "./images.js";
import { keepModel } from "./keep.js";

const LIVE = 350; // milliseconds between two answers of the camera

const lesson = new Lesson("api/photos");
let begun;
let classes = []; // { name, images, card }: images as images.js reads them
let asked = []; // { image, shares }
let nextOne = null;
let version = 0;
let live;

const taught = () => classes.filter((one) => one.images.length);
const examples = () => taught().map((one) => ({ name: one.name, examples: one.images.map((image) => image.file) }));

/** Set up the tab; ``begin`` is what the server said. */
export function setUp(begin) {
  begun = begin;
  if (begin.noPhotos) {
    $("no-photos").textContent = begin.noPhotos;
    $("no-photos").hidden = false;
    $("photo-sides").hidden = true;
    return;
  }
  live = new Answers($("live-answer"));
  live.hint("");
  dropPlace($("try-photos"), "Drop new photos here, or choose some", (images) => {
    asked.push(...images.map((image) => ({ image, shares: null })));
    sort();
  });
  $("clear-photos").onclick = () => {
    asked = [];
    sort();
  };
  $("photos-over").onclick = () => restart([]);
  $("camera").onclick = async () => {
    try {
      await camera.turn($("video"));
    } catch (error) {
      warn(error);
    }
    watched();
  };
  keepModel($("photos-keep"), {
    zip: async () => save(await file("api/photos/zip", { classes: examples() }), "photos.zip"),
    onnx: async () => save(await file("api/photos/onnx", { classes: examples() }), "photos.onnx"),
    lines: async () => showLines(begin.lines.photos),
  });
  restart(begin.photos.map((one) => ({ name: one.name, images: one.examples.map(readable) })));
}

/** Another tab is shown: the camera goes off. */
export function leave() {
  if (camera.isOn()) {
    camera.turn($("video"));
    watched();
  }
}

function restart(these) {
  classes = [];
  asked = [];
  const more = copyOf("more-class");
  more.querySelector("span").textContent = "Another class";
  more.querySelector("button").onclick = () => {
    const one = add();
    changed();
    one.card.querySelector(".name").focus();
  };
  $("photo-classes").replaceChildren(more);
  for (const one of these) add(one.name, one.images);
  while (classes.length < 2) add();
  changed();
}

function add(name, images = []) {
  const card = copyOf("photo-class");
  const one = { name: name ?? freeName(classes.map((other) => other.name), ["this", "that", "the other"]), images, card };
  classes.push(one);
  $("photo-classes").insertBefore(card, $("photo-classes").lastElementChild);
  dropPlace(card.querySelector(".drop"), "Drop photos here, or choose some", (more) => learn(one, more));
  const snap = iconButton("camera", "Take a photo", async () => learn(one, [await camera.photo($("video"))]));
  snap.classList.add("snap");
  snap.hidden = true;
  card.querySelector(".named").insertBefore(snap, card.querySelector(".remove"));
  const input = card.querySelector(".name");
  input.value = one.name;
  input.onfocus = () => input.select();
  input.onchange = () => {
    one.name = input.value.trim();
    changed();
  };
  card.querySelector(".remove").onclick = () => {
    classes.splice(classes.indexOf(one), 1);
    card.remove();
    changed();
    $("photo-classes").querySelector(".more button").focus();
  };
  return one;
}

function learn(one, images) {
  const room = begun.most.examples - one.images.length;
  if (images.length > room) warn(`A class takes at most ${begun.most.examples} photos.`);
  one.images.push(...images.slice(0, Math.max(room, 0)));
  changed();
}

function changed() {
  version += 1;
  const names = classes.map((one) => one.name);
  classes.forEach((one, i) => {
    one.card.className = `card ${colour(i)}`;
    const input = one.card.querySelector(".name");
    input.setAttribute("aria-label", `Name of class ${i + 1}`);
    input.setAttribute("aria-invalid", !one.name || names.indexOf(one.name) !== names.lastIndexOf(one.name));
    const remove = one.card.querySelector(".remove");
    remove.title = `Remove ${one.name}`;
    remove.setAttribute("aria-label", remove.title);
    remove.disabled = classes.length < 2;
    one.card.querySelector(".thumbs").replaceChildren(...one.images.map((image, at) => thumb(one, image, at)));
  });
  $("photo-classes").lastElementChild.hidden = classes.length >= begun.most.classes;
  $("photos-keep").hidden = taught().length < 2;
  for (const each of asked) each.shares = null;
  watched();
  sort();
}

function thumb(one, image, at) {
  const remove = iconButton("remove", `Remove photo ${at + 1} of ${one.name}`, () => {
    one.images.splice(at, 1);
    changed();
  });
  return el("li", {}, el("img", { src: image.shown, alt: `Photo ${at + 1} of ${one.name}` }), remove);
}

/** Ask for those that have no answer yet, some at a time; which to name next is said of the last of them. */
const sort = latest($("sorted"), async () => {
  list();
  if (taught().length < 2) return;
  const now = version;
  try {
    for (;;) {
      const open = asked.filter((each) => !each.shares).slice(0, begun.most.asked);
      if (now !== version || !open.length) break;
      const answer = await lesson.ask(version, examples, { photos: open.map((each) => each.image.file) });
      open.forEach((each, i) => { each.shares = answer.shares[i]; });
      nextOne = answer.next === null ? null : open[answer.next];
      list();
    }
    if (asked.length) tell(`${asked.length} photos sorted.`);
  } catch (error) {
    warn(error);
    asked = asked.filter((each) => each.shares);
    list();
  }
});

function list() {
  const names = taught().map((one) => one.name);
  $("clear-photos").hidden = !asked.length;
  if (taught().length < 2) live.hint("Put photos into two classes or more.");
  else if (!camera.isOn()) live.hint("");
  $("sorted").replaceChildren(...asked.map((each) => sortedOne(each, names)));
}

function sortedOne(each, names) {
  const picture = el("img", { src: each.image.shown, alt: each.image.name });
  if (!each.shares || each.shares.length !== names.length + 1) return el("li", { class: "waits" }, picture);
  const top = best(each.shares);
  const said = top < 0 ? NONE : names[top];
  const choose = el("select", { "aria-label": `What ${each.image.name} is` }, el("option", { textContent: "It is …", value: "" }));
  choose.append(...names.map((name, i) => el("option", { textContent: name, value: i })));
  choose.onchange = () => {
    asked.splice(asked.indexOf(each), 1);
    learn(taught()[choose.value], [each.image]);
  };
  const share = percent(top < 0 ? each.shares.at(-1) : each.shares[top]);
  const row = el("li", { class: colour(top) }, picture, el("span", { class: "word", textContent: said }), el("span", { class: "number", textContent: share }), choose);
  if (each === nextOne) row.append(el("span", { class: "next", textContent: "Name this one next: it would teach the most." }));
  return row;
}

/** The camera went on or off, or what is taught has changed. */
function watched() {
  const on = camera.isOn();
  $("camera").setAttribute("aria-pressed", on);
  $("video").hidden = !on;
  for (const snap of document.querySelectorAll(".snap")) snap.hidden = !on;
  if (on) watch();
}

const watch = latest($("live-answer"), async () => {
  while (camera.isOn() && taught().length > 1 && !$("photos").hidden) {
    const seen = await camera.photo($("video"));
    try {
      const answer = await lesson.ask(version, examples, { photos: [seen.file] });
      live.show(taught().map((one) => one.name), answer.shares[0]);
    } catch (error) {
      live.hint(error.message);
    }
    await new Promise((done) => setTimeout(done, LIVE));
  }
  if (!camera.isOn()) live.hint("");
});
