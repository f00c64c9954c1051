// One stream of cluster events per browser, through a shared worker: browsers allow only six
// connections to a host, and every open tab would take one. Without shared workers a page polls.

/** Call back whenever something happened in the cluster. */
export function listen(callback) {
  if (!("SharedWorker" in window)) return;
  const worker = new SharedWorker(new URL("./events-hub.js", import.meta.url));
  worker.port.onmessage = () => document.hidden || callback();
  worker.port.start();
  addEventListener("pagehide", () => worker.port.postMessage("bye"));
  addEventListener("pageshow", (event) => event.persisted && worker.port.postMessage("back"));
}
