// The camera: on, off, and a photo of what it sees now.

import { fromCanvas } from "./images.js";

let stream = null;

export const isOn = () => stream !== null;

/** Turn it on, or off; a person may say no, which is an error with what to do. */
export async function turn(video) {
  if (stream) {
    for (const track of stream.getTracks()) track.stop();
    stream = video.srcObject = null;
    return;
  }
  if (!navigator.mediaDevices) throw new Error("The browser gives no camera to a page from another machine.");
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: 640, height: 480 } });
  } catch (error) {
    const why = error.name === "NotAllowedError" ? "the browser was told not to allow it" : "none was found, or another program has it";
    throw new Error(`There is no camera: ${why}.`);
  }
  video.srcObject = stream;
  await video.play();
}

/** What it sees now: the middle square. */
export async function photo(video) {
  const side = Math.min(video.videoWidth, video.videoHeight);
  const canvas = new OffscreenCanvas(side, side);
  const [left, top] = [(video.videoWidth - side) / 2, (video.videoHeight - side) / 2];
  canvas.getContext("2d").drawImage(video, left, top, side, side, 0, 0, side, side);
  return fromCanvas(canvas, "a photo of the camera");
}
