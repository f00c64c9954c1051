// Makes dialogs modal, which are popovers without scripts; and a form is sent once.

export function startDialogs() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[popovertarget]");
    const dialog = document.getElementById(button?.getAttribute("popovertarget"));
    if (dialog?.showModal) {
      event.preventDefault();
      if (button.getAttribute("popovertargetaction") === "hide") dialog.close();
      else if (!dialog.open) dialog.showModal();
    } else if (event.target.showModal) {
      event.target.close(); // the backdrop
    }
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || event.defaultPrevented) return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });
  document.addEventListener("keydown", (event) => {
    // Enter on a box would press the first button of its form, whichever that is.
    if (event.key === "Enter" && event.target.matches?.("input[type=checkbox]")) event.preventDefault();
  });
  for (const box of document.querySelectorAll("[data-show-password]")) {
    const field = document.getElementById(box.dataset.showPassword);
    box.addEventListener("change", () => (field.type = box.checked ? "text" : "password"));
  }
}
