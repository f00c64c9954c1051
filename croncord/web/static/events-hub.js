// The shared worker: holds the one stream and passes on that something happened.

const KINDS = ["hello", "job", "run", "node", "cluster"];
const RETRY_MS = 5000;
const ports = new Set();
let source = null;

function open() {
  if (source || ports.size === 0) return;
  source = new EventSource("/api/v1/events");
  const tell = (event) => ports.forEach((port) => port.postMessage(event.type));
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

onconnect = (event) => {
  const port = event.ports[0];
  ports.add(port);
  port.onmessage = ({ data }) => {
    if (data === "bye") ports.delete(port);
    else ports.add(port);
    if (data === "bye") close();
    else open();
  };
  open();
};
