// The shared worker: one stream of events for all pages, and three slots for streams of output.

const KINDS = ["hello", "job", "run", "node", "cluster"];
const RETRY_MS = 5000;
const SLOTS = 3;
const ports = new Set();
const holders = new Set();
let source = null;

function open() {
  if (source || ports.size === 0) return;
  source = new EventSource("/api/v1/events");
  const tell = ({ type }) => ports.forEach((port) => port.postMessage({ type }));
  for (const kind of KINDS) source.addEventListener(kind, tell);
  source.onerror = () => {
    if (source.readyState !== EventSource.CLOSED) return; // it reconnects by itself
    source = null;
    setTimeout(open, RETRY_MS);
  };
}

function close() {
  if (ports.size > 0) return;
  source?.close();
  source = null;
}

const answers = {
  take(port) {
    if (holders.size < SLOTS) holders.add(port);
    port.postMessage({ slot: holders.has(port) });
  },
  give: (port) => holders.delete(port),
  back(port) {
    ports.add(port);
    open();
  },
  bye(port) {
    ports.delete(port);
    holders.delete(port);
    close();
  },
};

onconnect = (event) => {
  const port = event.ports[0];
  ports.add(port);
  port.onmessage = ({ data }) => answers[data](port);
  open();
};
