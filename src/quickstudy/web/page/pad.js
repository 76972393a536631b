// A pad to draw on, with a mouse, a pen, a finger or the keyboard. Its strokes are lists of x, y, x, y, ... in
// thousandths of its side, which is all that the server is told of them.

import { iconButton } from "./dom.js";

export const SIDE = 1000;
const PEN = 30; // the width of a line, in the same unit
const NEAR = 4; // a point so near to the last one says nothing new
const STEP = 25; // of the keyboard's pen
const MOST = 4000; // points of a drawing

/** Draw strokes on a canvas that is ``side`` pixels wide, in the colour of its text. */
export function ink(canvas, strokes, pen = PEN) {
  const side = canvas.width;
  const context = canvas.getContext("2d");
  const unit = side / SIDE;
  context.clearRect(0, 0, side, side);
  context.strokeStyle = context.fillStyle = getComputedStyle(canvas).color;
  context.lineWidth = pen * unit;
  context.lineCap = context.lineJoin = "round";
  for (const way of strokes) {
    const at = (i) => [way[2 * i] * unit, way[2 * i + 1] * unit];
    const points = way.length / 2;
    context.beginPath();
    context.moveTo(...at(0));
    if (points === 1) {
      context.arc(...at(0), (pen * unit) / 2, 0, 2 * Math.PI);
      context.fill();
      continue;
    }
    for (let i = 1; i < points - 1; i++) {
      const [x, y] = at(i);
      const [nextX, nextY] = at(i + 1);
      context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
    }
    context.lineTo(...at(points - 1));
    context.stroke();
  }
}

/** A drawing so small as a thumbnail, whatever its size on the pad. */
export function thumbnail(canvas, strokes) {
  canvas.width = canvas.height = 72;
  ink(canvas, strokes, 2 * PEN);
}

export class Pad {
  strokes = [];
  #canvas;
  #board;
  #now = null; // the stroke that is being drawn
  #pointer = null;
  #pen = null; // the keyboard's, [x, y]
  #down = false; // whether it draws
  #changed;

  /** ``changed`` is called whenever a stroke has come to its end, or was taken back. */
  constructor(board, changed) {
    this.#board = board;
    this.#canvas = board.querySelector(".pad");
    this.#changed = changed;
    const tools = board.querySelector(".tools");
    tools.append(iconButton("undo", "Take the last stroke back", () => this.undo()));
    tools.append(iconButton("wipe", "Wipe it clean", () => this.set([], true)));
    const canvas = this.#canvas;
    canvas.addEventListener("pointerdown", (event) => this.#start(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => this.#end(event));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => this.#lift());
    canvas.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
    new ResizeObserver(() => this.#fit()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.show());
  }

  label(text) {
    this.#canvas.setAttribute("aria-label", text);
  }

  /** Show other strokes; ``said``: the person did that. */
  set(strokes, said = false) {
    this.strokes = strokes;
    this.#now = this.#pen = null;
    this.#down = false;
    this.show();
    if (said) this.#changed();
  }

  undo() {
    if (this.strokes.length) this.set(this.strokes.slice(0, -1), true);
  }

  show() {
    this.#board.classList.toggle("inked", Boolean(this.strokes.length || this.#now));
    ink(this.#canvas, this.#now ? [...this.strokes, this.#now] : this.strokes);
    if (this.#pen && document.activeElement === this.#canvas) this.#showPen();
  }

  #fit() {
    const side = Math.round(this.#canvas.clientWidth * devicePixelRatio);
    if (side && side !== this.#canvas.width) {
      this.#canvas.width = this.#canvas.height = side;
      this.show();
    }
  }

  #start(event) {
    if (this.#pointer !== null || event.button !== 0) return;
    this.#lift();
    this.#pen = null;
    this.#pointer = event.pointerId;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#now = [];
    this.#add(event);
    this.show();
  }

  #move(event) {
    if (event.pointerId !== this.#pointer || !this.#now) return;
    const all = event.getCoalescedEvents?.() ?? [];
    for (const each of all.length ? all : [event]) this.#add(each);
    this.show();
  }

  #end(event) {
    if (event.pointerId !== this.#pointer) return;
    this.#pointer = null;
    this.#finish();
  }

  #add(event) {
    const box = this.#canvas.getBoundingClientRect();
    const place = (at, start, length) => Math.round(Math.min(Math.max((at - start) / length, -0.2), 1.2) * SIDE);
    this.#point(place(event.clientX, box.left, box.width), place(event.clientY, box.top, box.height));
  }

  #point(x, y) {
    const way = this.#now;
    const [lastX, lastY] = way.slice(-2);
    const many = this.strokes.reduce((sum, stroke) => sum + stroke.length, way.length) / 2;
    if (many < MOST && !(Math.hypot(x - lastX, y - lastY) < NEAR)) way.push(x, y);
  }

  #finish() {
    if (!this.#now) return;
    const way = this.#now;
    this.#now = null;
    if (way.length) this.strokes = [...this.strokes, way];
    this.show();
    this.#changed();
  }

  #lift() {
    if (this.#down) this.#finish();
    this.#down = false;
  }

  #key(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (way) {
      const step = event.shiftKey ? 3 * STEP : STEP;
      const [x, y] = this.#pen ?? [SIDE / 2, SIDE / 2];
      const within = (at) => Math.min(Math.max(at, 0), SIDE);
      this.#pen = [within(x + step * way[0]), within(y + step * way[1])];
      if (this.#down) this.#point(...this.#pen);
    } else if (event.key === " ") {
      this.#pen ??= [SIDE / 2, SIDE / 2];
      if (this.#down) this.#lift();
      else {
        this.#down = true;
        this.#now = [...this.#pen];
      }
    } else if (event.key === "Backspace") this.undo();
    else if (event.key === "Delete") this.set([], true);
    else return;
    event.preventDefault();
    this.show();
  }

  #showPen() {
    const context = this.#canvas.getContext("2d");
    const unit = this.#canvas.width / SIDE;
    context.lineWidth = 8 * unit;
    context.beginPath();
    context.arc(this.#pen[0] * unit, this.#pen[1] * unit, (this.#down ? 22 : 34) * unit, 0, 2 * Math.PI);
    context.stroke();
  }
}
