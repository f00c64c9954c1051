// The job form: preview while typing, a file into the text box, checks, and a draft in the browser.

import { asking } from "./ask.js";
import { tick } from "./times.js";

const WAIT_MS = 150;
const DRAFT_MS = 500;
const SENT = "croncord-draft-sent";

function startPreview(form) {
  const { schedule, timezone, dst } = form.elements;
  const box = document.getElementById("preview");
  const preview = asking(WAIT_MS, async (signal) => {
    const typed = [schedule, timezone, dst].map((field) => [field.name, field.value]);
    const response = await fetch(`/jobs/preview?${new URLSearchParams(typed)}`, { signal });
    if (!response.ok || response.redirected) return;
    box.innerHTML = await response.text();
    for (const field of [schedule, timezone]) {
      field.ariaInvalid = box.querySelector(`[data-problem="${field.name}"]`) ? "true" : null;
    }
    tick();
  });
  for (const field of [schedule, timezone, dst]) field.addEventListener("input", preview);
  form.addEventListener("click", ({ target }) => {
    if (!target.dataset.preset) return;
    schedule.value = target.dataset.preset;
    preview();
    schedule.focus();
  });
}

function startScript(form) {
  const { script: text, script_file: file } = form.elements;
  const facts = form.querySelector("[data-script-facts]");
  const hint = document.getElementById("script-hint");

  const describe = () => {
    const [first, ...rest] = text.value.trimEnd().split("\n");
    const runs = first.startsWith("#!") ? `runs under ${first.slice(2).trim()}` : "no #! line: runs under /bin/bash";
    facts.textContent = `${rest.length + 1} line${rest.length ? "s" : ""}, ${runs}`;
  };

  async function take(source) {
    try {
      if (source.size > Number(file.dataset.max)) throw new RangeError();
      const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
      const content = decoder.decode(await source.arrayBuffer());
      if (content.includes("\0")) throw new TypeError();
      const breaks = content.split("\r\n").length - 1;
      text.value = content.replace("\ufeff", "");
      file.value = "";
      const notes = [`${source.name} is in the box above; nothing is saved yet.`];
      if (content.startsWith("\ufeff")) notes.push("Its byte order mark was removed.");
      if (breaks) notes.push(`${breaks} Windows line ends (CRLF) became LF.`);
      hint.textContent = notes.join(" ");
      text.dispatchEvent(new Event("input", { bubbles: true }));
    } catch (error) {
      const why = error instanceof RangeError ? "larger than 1 MiB" : "not UTF-8 text";
      hint.textContent = `${source.name} is ${why} and will be refused.`;
    }
  }

  text.addEventListener("input", describe);
  file.addEventListener("change", () => file.files[0] && take(file.files[0]));
  text.addEventListener("dragover", (event) => event.preventDefault());
  text.addEventListener("drop", (event) => {
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    take(event.dataTransfer.files[0]);
  });
  document.addEventListener("click", ({ target }) => {
    const line = Number(target.dataset?.caret);
    if (!line) return;
    const before = text.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1);
    text.focus();
    text.setSelectionRange(before, before);
    text.scrollTop = ((line - 4) * text.scrollHeight) / text.value.split("\n").length;
  });
  describe();
}

function startCheck(form) {
  const box = document.getElementById("check");
  form.querySelector("[data-check]").addEventListener("click", async (event) => {
    event.preventDefault();
    try {
      const response = await fetch(event.target.formAction, {
        method: "POST",
        body: new FormData(form),
        headers: { "X-Croncord-Live": "1" },
      });
      if (!response.ok || response.redirected) throw new Error(response.statusText);
      box.innerHTML = await response.text();
    } catch {
      box.textContent = "The check could not be made now. Try again in a moment.";
    }
    box.hidden = false;
  });
}

function startDraft(form) {
  const key = `croncord-draft:${form.dataset.draft}`;
  const skipped = ["csrf_token", "version", "script_file"];
  const values = () => JSON.stringify([...new FormData(form)].filter(([name]) => !skipped.includes(name)));
  const start = values();
  sessionStorage.removeItem(SENT); // it came back, so it was not saved
  const stored = sessionStorage.getItem(key);
  if (stored && stored !== start && !document.querySelector(".problems")) offerDraft(form, key, stored);
  const keep = () => {
    try {
      if (values() === start) sessionStorage.removeItem(key);
      else sessionStorage.setItem(key, values());
    } catch {
      // the store is full: the form still holds everything
    }
  };
  form.addEventListener("input", asking(DRAFT_MS, keep));
  form.addEventListener("submit", () => {
    keep();
    sessionStorage.setItem(SENT, key);
  });
}

function offerDraft(form, key, stored) {
  const offer = document.getElementById("draft");
  offer.hidden = false;
  offer.addEventListener("click", ({ target }) => {
    if (target.value === "restore") JSON.parse(stored).forEach(([name, value]) => fill(form, name, value));
    else if (target.value === "forget") sessionStorage.removeItem(key);
    else return;
    offer.hidden = true;
  });
}

function fill(form, name, value) {
  for (const field of form.querySelectorAll(`[name="${CSS.escape(name)}"]`)) {
    if (field.type === "checkbox") field.checked ||= field.value === value;
    else field.value = value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

export function startJobForm() {
  const form = document.querySelector("[data-job-form]");
  if (form) {
    startPreview(form);
    startScript(form);
    startCheck(form);
    startDraft(form);
  } else if (document.body.hasAttribute("data-signed-in") && !document.querySelector("[data-unsaved]")) {
    // Some other page came after the form was sent, so it was saved.
    sessionStorage.removeItem(sessionStorage.getItem(SENT));
    sessionStorage.removeItem(SENT);
  }
}
