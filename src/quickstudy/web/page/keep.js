// What can be taken away: each button does what it is named for, and says so while it does.

import { warn } from "./dom.js";

/** ``ways``: by the name of a button, what it does. */
export function keepModel(place, ways) {
  for (const button of place.querySelectorAll("[data-keep]")) {
    button.onclick = async () => {
      button.disabled = true;
      try {
        await ways[button.dataset.keep]();
      } catch (error) {
        warn(error);
      } finally {
        button.disabled = false;
      }
    };
  }
}
