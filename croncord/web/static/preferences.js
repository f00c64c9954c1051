// The theme changes without loading the page, so that a form being filled in keeps its text. The
// viewer's time zone is told to the server, which writes all times.

const YEAR_SECONDS = 365 * 86400;

function showTheme(value) {
  if (value === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = value;
  for (const button of document.querySelectorAll('button[name="theme"]')) {
    button.setAttribute("aria-pressed", String(button.value === value));
  }
}

function tellZone() {
  const zone = encodeURIComponent(Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC");
  if (document.cookie.split("; ").includes(`croncord_zone=${zone}`)) return;
  document.cookie = `croncord_zone=${zone}; path=/; max-age=${YEAR_SECONDS}; samesite=lax`;
  document.dispatchEvent(new Event("croncord:refresh"));
}

export function startPreferences() {
  tellZone();
  for (const button of document.querySelectorAll('button[name="theme"]')) {
    button.addEventListener("click", (event) => {
      event.preventDefault();
      const body = new FormData(button.form);
      body.set("theme", button.value);
      fetch(button.form.action, { method: "POST", body, redirect: "manual" });
      showTheme(button.value);
    });
  }
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll(".bar details[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = document.querySelector(".bar details[open]");
    if (!menu) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}
