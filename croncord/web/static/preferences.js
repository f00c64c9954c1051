// Changes the theme without loading the page; tells the server the zone that it writes times in.

const YEAR_SECONDS = 365 * 86400;

function showTheme(value) {
  document.documentElement.dataset.theme = value;
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
  document.addEventListener("submit", (event) => {
    if (event.submitter?.name !== "theme") return;
    event.preventDefault();
    const body = new FormData(event.target, event.submitter);
    fetch(event.target.action, { method: "POST", body, redirect: "manual" });
    showTheme(event.submitter.value);
  });
}
