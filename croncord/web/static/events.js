// One stream of cluster events per browser, through a shared worker: browsers allow only six
// connections to a host, and every open tab would take one. The worker also counts the pages that
// hold a stream of output open. Without shared workers a page polls.

let port = null;
let asked = null;

function connect() {
  if (port || !("SharedWorker" in window)) return port;
  port = new SharedWorker(new URL("./events-hub.js", import.meta.url)).port;
  port.onmessage = ({ data }) => {
    if (data.slot === undefined) document.dispatchEvent(new Event("croncord:happened"));
    else asked?.(data.slot);
  };
  port.start();
  addEventListener("pagehide", () => port.postMessage("bye"));
  addEventListener("pageshow", (event) => event.persisted && port.postMessage("back"));
  return port;
}

/** Ask whether this page may hold a stream of its own open; true also when nobody can tell. */
export function takeSlot() {
  if (!connect()) return Promise.resolve(true);
  return new Promise((resolve) => {
    asked = resolve;
    port.postMessage("take");
  });
}

/** Give the stream back. */
export function giveSlot() {
  port?.postMessage("give");
}

/** Call back whenever something happened in the cluster. */
export function listen(callback) {
  if (connect()) document.addEventListener("croncord:happened", () => document.hidden || callback());
}
