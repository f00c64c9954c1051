// Asks the server while somebody types: after a pause, and with only one question under way.

/** Return a function that calls `ask(signal)` once it has not been called for `wait` milliseconds. */
export function asking(wait, ask) {
  let [timer, running] = [0, null];
  return () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      running?.abort();
      running = new AbortController();
      try {
        await ask(running.signal);
      } catch {
        // aborted by the next key, or the node is silent: the banner tells
      }
    }, wait);
  };
}

/** Fetch a page or a part of one as a document. */
export async function fetchDocument(url, options) {
  const response = await fetch(url, options);
  return new DOMParser().parseFromString(await response.text(), "text/html");
}
