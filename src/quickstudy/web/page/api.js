// Requests to the server that this page comes from.

/** An answer as JSON; what the server says of an error is the error's message. */
export async function post(path, body) {
  return (await sent(path, body)).json();
}

/** An answer as a file's content. */
export async function file(path, body) {
  return (await sent(path, body)).blob();
}

/** What the server says without being told anything. */
export async function get(path) {
  return (await sent(path)).json();
}

async function sent(path, body) {
  const posted = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  let answer;
  try {
    answer = await fetch(path, body === undefined ? {} : posted);
  } catch {
    throw new Error("The server does not answer. Was it ended? Start it again: quickstudy teach.");
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw Object.assign(new Error(said.error ?? `The server refused (${answer.status}).`), { status: answer.status });
}

/** Asks of examples that are sent once: later questions name them by the key that the server gave them. */
export class Lesson {
  #path;
  #key = null;
  #version = null;

  constructor(path) {
    this.#path = path;
  }

  /** ``classes`` gives the examples; ``version`` changes whenever they do. */
  async ask(version, classes, question) {
    if (this.#version === version) {
      try {
        return await post(this.#path, { key: this.#key, ...question });
      } catch (error) {
        if (error.status !== 409) throw error;
      }
    }
    const answer = await post(this.#path, { classes: classes(), ...question });
    this.#key = answer.key;
    this.#version = version;
    return answer;
  }
}

/**
 * One question at a time: of those that come while one is asked, the last is asked next, the others never.
 * ``place``, where the answer is to stand, says that it waits for one (``aria-busy``).
 */
export function latest(place, ask) {
  let running = false;
  let waiting = null;
  return async function run(...question) {
    if (running) {
      waiting = question;
      return;
    }
    running = true;
    place.ariaBusy = "true";
    try {
      await ask(...question);
    } finally {
      running = false;
      place.ariaBusy = "false";
      if (waiting) {
        const next = waiting;
        waiting = null;
        run(...next);
      }
    }
  };
}
