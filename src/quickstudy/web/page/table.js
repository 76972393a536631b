// The tab of tables: a text is sent, and comes back filled in.

import { post } from "./api.js";
import { $, el, percent, save, showLines, tell } from "./dom.js";
import { keepModel } from "./keep.js";

const EXAMPLE = `weight,length,skin,fruit
182,8,smooth,apple
150,7,smooth,apple
205,9,smooth,
118,19,smooth,banana
131,21,smooth,banana
125,18,smooth,
140,7,dimpled,orange
162,8,dimpled,orange
155,8,dimpled,
171,8,smooth,apple
110,17,smooth,banana
149,8,dimpled,orange
168,8,smooth,?
137,20,smooth,?
122,20,smooth,banana
158,7,dimpled,orange
176,8,smooth,apple
`;
const ROWS = 500; // that are shown; the file has all

let found = null;

export function setUp() {
  const csv = $("csv");
  csv.oninput = columns;
  $("csv-example").onclick = () => take(EXAMPLE, true);
  $("csv-file").onchange = async () => {
    const [chosen] = $("csv-file").files;
    if (chosen) await read(chosen);
    $("csv-file").value = "";
  };
  csv.ondragover = (event) => event.preventDefault();
  csv.ondrop = async (event) => {
    const [dropped] = event.dataTransfer.files;
    if (!dropped) return;
    event.preventDefault();
    await read(dropped);
  };
  $("fill").onclick = fill;
  keepModel($("table-keep"), {
    csv: async () => save(found.csv, "filled-in.csv"),
    lines: async () => showLines(found.lines),
  });
  columns();
}

async function read(chosen) {
  if (chosen.size > 3_500_000) return say(`${chosen.name} is larger than the 3.5 MB that this page takes.`, true);
  take(await chosen.text(), true);
}

function take(text, go) {
  $("csv").value = text;
  columns();
  if (go) fill();
}

/** Offer the columns' names: the first row, as it looks to be separated. The server reads the table itself. */
function columns() {
  const [first] = $("csv").value.trim().split("\n");
  const separator = [",", ";", "\t", "|"].sort((a, b) => first.split(b).length - first.split(a).length)[0];
  const names = first.split(separator).map((name) => name.trim().replace(/^"(.*)"$/, "$1")).filter(Boolean);
  const chosen = $("target").value;
  const offered = names.map((name) => el("option", { value: name, textContent: name }));
  $("target").replaceChildren(el("option", { value: "", textContent: "the column with empty cells" }), ...offered);
  if (names.includes(chosen)) $("target").value = chosen;
  $("fill").disabled = !$("csv").value.trim();
}

async function fill() {
  $("fill").disabled = true;
  say("Reading the table …");
  try {
    found = await post("api/table", { text: $("csv").value, target: $("target").value || null });
    show();
  } catch (error) {
    found = null;
    $("filled").hidden = $("table-keep").hidden = true;
    say(error.message, true);
  } finally {
    $("fill").disabled = false;
  }
}

function say(text, wrong = false) {
  $("table-said").textContent = text;
  $("table-said").classList.toggle("wrong", wrong);
}

function show() {
  const count = Object.keys(found.filled).length;
  const cells = count === 1 ? "1 cell" : `${count} cells`;
  const parts = [`Filled in ${cells} of ${found.target}.`];
  if (found.checked !== null) parts.push(`Of the rows that had an answer, ${percent(found.checked)} are right when each fifth is asked of the others.`);
  if (found.silent.length) parts.push(`Left out, for nothing could be read from it: ${found.silent.join(", ")}.`);
  if (found.rows.length > ROWS) parts.push(`The first ${ROWS} rows are shown; the file has all ${found.rows.length}.`);
  say(parts.join(" "));
  tell(`Filled in ${cells}.`);
  const at = found.columns.indexOf(found.target);
  const head = el("tr", {}, ...found.columns.map((name, j) => el("th", { scope: "col", textContent: name, class: j === at ? "target" : "" })));
  const rows = found.rows.slice(0, ROWS).map((row, i) => el("tr", {}, ...row.map((cell, j) => td(cell, j === at, found.filled[i]))));
  $("filled").replaceChildren(el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows)));
  $("filled").hidden = $("table-keep").hidden = false;
}

function td(text, isTarget, sure) {
  if (!isTarget) return el("td", { textContent: text });
  if (sure === undefined) return el("td", { textContent: text, class: "target" });
  const colour = `c${found.classes.indexOf(text) % 5}`;
  const bar = el("span", { class: "track", "aria-hidden": "true" }, el("span", { class: "fill" }));
  bar.firstElementChild.style.transform = `scaleX(${sure.toFixed(4)})`;
  return el("td", { class: `target new ${colour}` }, el("strong", { textContent: text }), bar, el("span", { class: "number", textContent: percent(sure) }));
}
