// The job form: preview while typing, a file into the text box, checks, and a draft that survives
// a lost session or a closed tab.

import { tick } from "./times.js";

const WAIT_MS = 150;

function after(wait, action) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, wait);
  };
}

function startPreview(form) {
  const schedule = form.querySelector("[data-schedule]");
  const zone = form.querySelector("[data-timezone]");
  const box = document.getElementById("preview");
  let running = null;
  const ask = async () => {
    running?.abort();
    running = new AbortController();
    const query = new URLSearchParams({
      schedule: schedule.value,
      timezone: zone.value,
      dst: form.elements.dst.value,
    });
    try {
      const response = await fetch(`/jobs/preview?${query}`, { signal: running.signal });
      if (!response.ok || response.redirected) return;
      box.innerHTML = await response.text();
      for (const field of [schedule, zone]) {
        const wrong = box.querySelector(`[data-problem="${field.name}"]`);
        field.toggleAttribute("aria-invalid", Boolean(wrong));
        if (wrong) field.setAttribute("aria-invalid", "true");
      }
      tick();
    } catch {
      // aborted by the next key, or the node is silent: the banner tells
    }
  };
  const later = after(WAIT_MS, ask);
  for (const field of [schedule, zone, form.elements.dst]) field.addEventListener("input", later);
  for (const button of form.querySelectorAll("[data-preset]")) {
    button.addEventListener("click", () => {
      schedule.value = button.dataset.preset;
      schedule.dispatchEvent(new Event("input", { bubbles: true }));
      schedule.focus();
    });
  }
}

function startScript(form) {
  const text = form.querySelector("[data-script]");
  const file = form.querySelector("[data-script-file]");
  const facts = form.querySelector("[data-script-facts]");
  const hint = document.getElementById("script-hint");
  const usual = hint.textContent;

  const describe = () => {
    const first = text.value.split("\n", 1)[0];
    const lines = text.value.replace(/\n$/, "").split("\n").length;
    const runs = first.startsWith("#!") ? `runs under ${first.slice(2).trim()}` : "no #! line: runs under /bin/bash";
    facts.textContent = `${lines.toLocaleString("en")} line${lines === 1 ? "" : "s"}, ${runs}`;
  };

  async function take(source) {
    if (source.size > Number(file.dataset.max)) {
      hint.textContent = `${source.name} is larger than 1 MiB and will be refused.`;
      return;
    }
    try {
      const bytes = await source.arrayBuffer();
      const content = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
      if (content.includes("\0")) throw new Error("binary");
      const breaks = content.split("\r\n").length - 1;
      text.value = content.replace(/^\ufeff/, "");
      file.value = "";
      const notes = [`${source.name} is in the box above; nothing is saved yet.`];
      if (content.startsWith("\ufeff")) notes.push("Its byte order mark was removed.");
      if (breaks) notes.push(`${breaks.toLocaleString("en")} Windows line ends (CRLF) became LF.`);
      hint.textContent = notes.join(" ");
      text.dispatchEvent(new Event("input", { bubbles: true }));
    } catch {
      hint.textContent = `${source.name} is not UTF-8 text; saving it will tell where.`;
    }
  }

  text.addEventListener("input", describe);
  file.addEventListener("change", () => (file.files[0] ? take(file.files[0]) : (hint.textContent = usual)));
  text.addEventListener("dragover", (event) => {
    event.preventDefault();
    text.classList.add("drop");
  });
  text.addEventListener("dragleave", () => text.classList.remove("drop"));
  text.addEventListener("drop", (event) => {
    text.classList.remove("drop");
    if (!event.dataTransfer.files.length) return;
    event.preventDefault();
    take(event.dataTransfer.files[0]);
  });
  document.addEventListener("click", (event) => {
    const line = Number(event.target.closest?.("[data-caret]")?.dataset.caret);
    if (!line) return;
    const before = text.value.split("\n").slice(0, line - 1).join("\n").length;
    text.focus();
    text.setSelectionRange(before + (line > 1), before + (line > 1));
    text.scrollTop = ((line - 4) * text.scrollHeight) / text.value.split("\n").length;
  });
  describe();
}

function startCheck(form) {
  const button = form.querySelector("[data-check]");
  const box = document.getElementById("check");
  button.addEventListener("click", async (event) => {
    event.preventDefault();
    try {
      const response = await fetch(button.formAction, {
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
  const skipped = new Set(["csrf_token", "version", "script_file"]);
  const values = () =>
    JSON.stringify([...new FormData(form)].filter(([name, value]) => !skipped.has(name) && typeof value === "string"));
  const start = values();
  sessionStorage.removeItem("croncord-draft-sent"); // it came back, so it was not saved
  const stored = sessionStorage.getItem(key);
  if (stored && stored !== start && !document.querySelector(".problems")) offerDraft(form, key, stored);
  const keep = () => {
    try {
      if (values() === start) sessionStorage.removeItem(key);
      else sessionStorage.setItem(key, values());
    } catch {
      // the browser's store is full: the form itself still holds everything
    }
  };
  form.addEventListener("input", after(500, keep));
  form.addEventListener("submit", () => {
    keep();
    sessionStorage.setItem("croncord-draft-sent", key);
  });
}

function offerDraft(form, key, stored) {
  const note = document.createElement("p");
  note.className = "note t-warn";
  const words = document.createElement("span");
  words.textContent = "What you typed here before was not saved. ";
  const restore = document.createElement("button");
  restore.type = "button";
  restore.className = "btn small";
  restore.textContent = "Bring it back";
  const forget = restore.cloneNode();
  forget.textContent = "Forget it";
  restore.onclick = () => {
    for (const [name, value] of JSON.parse(stored)) fill(form, name, value);
    note.remove();
  };
  forget.onclick = () => {
    sessionStorage.removeItem(key);
    note.remove();
  };
  words.append(restore, " ", forget);
  note.append(words);
  form.before(note);
}

function fill(form, name, value) {
  const fields = [...form.querySelectorAll(`[name="${CSS.escape(name)}"]`)];
  for (const field of fields) {
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
    const key = sessionStorage.getItem("croncord-draft-sent");
    if (key) sessionStorage.removeItem(key);
    sessionStorage.removeItem("croncord-draft-sent");
  }
}
