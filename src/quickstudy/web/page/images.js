// Images that a person drops or chooses: made small in the page, so that little is sent.

import { post } from "./api.js";
import { el, warn } from "./dom.js";

const SIDE = 384; // pixels of the longer side; encoders look at fewer
const LARGEST = 12_000_000; // bytes of a file that the browser cannot show, which is sent as it is

/** An image as the page keeps it: ``file`` in base64 for the server, ``shown`` for the eye, ``name`` for words. */
export function readable(file, name = "a photo") {
  return { file, name, shown: `data:image/jpeg;base64,${file}` };
}

/** What is on a canvas. */
export async function fromCanvas(canvas, name) {
  const small = shrunk(canvas, canvas.width, canvas.height);
  return readable(await base64(await small.convertToBlob({ type: "image/jpeg", quality: 0.9 })), name);
}

async function fromFile(file) {
  try {
    const bitmap = await createImageBitmap(file);
    const small = shrunk(bitmap, bitmap.width, bitmap.height);
    bitmap.close();
    return await fromCanvas(small, file.name);
  } catch {
    // Of a kind that this browser does not know: perhaps the server does; if not, it says why.
    if (file.size > LARGEST) throw new Error(`${file.name} is no image that this browser can read, and too large to be sent.`);
    return readable((await post("api/photos/read", { photo: await base64(file), name: file.name })).file, file.name);
  }
}

function shrunk(source, width, height) {
  const factor = Math.min(1, SIDE / Math.max(width, height));
  const canvas = new OffscreenCanvas(Math.max(1, Math.round(width * factor)), Math.max(1, Math.round(height * factor)));
  const context = canvas.getContext("2d");
  context.fillStyle = "white"; // behind what is transparent
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return canvas;
}

function base64(blob) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => failed(reader.error);
    reader.readAsDataURL(blob);
  });
}

/** Make a place where images can be dropped, chosen, or pasted; ``take`` gets those that could be read. */
export function dropPlace(place, says, take) {
  const input = el("input", { type: "file", accept: "image/*", multiple: true, class: "away", tabIndex: -1 });
  input.setAttribute("aria-hidden", "true");
  const button = el("button", { type: "button", textContent: says, onclick: () => input.click() });
  place.append(button, input);
  const read = async (files) => {
    const images = [];
    for (const file of files) {
      try {
        images.push(await fromFile(file));
      } catch (error) {
        warn(error);
      }
    }
    if (images.length) take(images);
  };
  input.onchange = async () => {
    const files = [...input.files];
    input.value = "";
    await read(files);
  };
  place.ondragover = (event) => {
    event.preventDefault();
    place.classList.add("over");
  };
  place.ondragleave = () => place.classList.remove("over");
  place.ondrop = (event) => {
    event.preventDefault();
    place.classList.remove("over");
    read(event.dataTransfer.files);
  };
  place.onpaste = (event) => read(event.clipboardData.files);
}
