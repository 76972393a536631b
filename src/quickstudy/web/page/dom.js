// Small helpers: elements, files, messages to the person.

export const $ = (id) => document.getElementById(id);

/** An element with properties (``dataset`` and ``class`` among them) and what is in it. */
export function el(tag, properties = {}, ...inside) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") made.className = value;
    else if (name === "dataset") Object.assign(made.dataset, value);
    else if (name.startsWith("aria-") || name === "role") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...inside);
  return made;
}

/** A button with one of the page's icons; ``says`` is its name for who does not see it, and when pointed at. */
export function iconButton(icon, says, onclick) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#i-${icon}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return el("button", { class: "icon", type: "button", title: says, "aria-label": says, onclick }, svg);
}

/** What is in a template. */
export const copyOf = (id) => $(id).content.firstElementChild.cloneNode(true);

/** For a screen reader; the same again is said again. */
export function tell(text) {
  $("live").textContent = $("live").textContent === text ? `${text}\u00a0` : text;
}

let fading;

/** What went wrong, for some seconds. */
export function warn(error) {
  const toast = $("toast");
  toast.textContent = error.message ?? error;
  toast.hidden = false;
  clearTimeout(fading);
  fading = setTimeout(() => { toast.hidden = true; }, 8000);
}

/** Let the browser save a file. */
export function save(content, name) {
  const link = el("a", { href: URL.createObjectURL(new Blob([content])), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Show lines of Python. */
export function showLines(lines) {
  $("code").textContent = lines;
  $("lines").showModal();
}

/** A name for a new class that none has yet. */
export function freeName(taken, names) {
  return names.find((name) => !taken.includes(name)) ?? `class ${taken.length + 1}`;
}

export const percent = (share) => `${share >= 0.995 && share < 1 ? 99 : Math.round(100 * share)}%`;
