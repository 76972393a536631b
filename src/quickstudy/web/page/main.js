// The page: its tabs, and what each begins with.

import { get } from "./api.js";
import { $, warn } from "./dom.js";
import * as draw from "./draw.js";
import * as photos from "./photos.js";
import * as table from "./table.js";

const tabs = [...document.querySelectorAll("[role=tab]")];

function show(tab, focus = false) {
  for (const each of tabs) {
    const chosen = each === tab;
    each.setAttribute("aria-selected", chosen);
    each.tabIndex = chosen ? 0 : -1;
    $(each.getAttribute("aria-controls")).hidden = !chosen;
  }
  if (tab.id !== "tab-photos") photos.leave();
  if (focus) tab.focus();
}

tabs.forEach((tab, i) => {
  tab.onclick = () => show(tab);
  tab.onkeydown = (event) => {
    const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: -1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    show(tabs.at(to % tabs.length), true);
  };
});

// What is dropped beside a place for it must not make the browser leave the page.
for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());

$("copy").onclick = async () => {
  try {
    await navigator.clipboard.writeText($("code").textContent);
    $("copy").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren($("code"));
  }
};
$("lines").onclose = () => { $("copy").textContent = "Copy"; };

try {
  const begin = await get("api/begin");
  draw.setUp(begin);
  photos.setUp(begin);
  table.setUp();
  show($(`tab-${begin.tab}`));
  document.body.dataset.ready = "yes";
} catch (error) {
  warn(error);
}
