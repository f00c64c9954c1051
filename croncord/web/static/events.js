// One stream of cluster events per browser, through a shared worker; see "Live" in DESIGN.md.

let port = null;
let asked = null;

/** Hear of events in the cluster: each asks for a fresh copy of the page. */
export function connect() {
  if (port || !("SharedWorker" in window)) return port;
  port = new SharedWorker(new URL("./events-hub.js", import.meta.url)).port;
  port.onmessage = ({ data }) => {
    if (data.slot === undefined) document.dispatchEvent(new Event("croncord:refresh"));
    else asked?.(data.slot);
  };
  port.start();
  addEventListener("pagehide", () => port.postMessage("bye"));
  addEventListener("pageshow", (event) => event.persisted && port.postMessage("back"));
  return port;
}

/** Whether this page may hold a stream of its own open; true also when nobody can tell. */
export function takeSlot() {
  if (!connect()) return Promise.resolve(true);
  return new Promise((resolve) => {
    asked = resolve;
    port.postMessage("take");
  });
}

export function giveSlot() {
  port?.postMessage("give");
}
