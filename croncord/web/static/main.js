// Starts what the page asks for. Each module looks for its own data attributes and is idle without
// them. Everything works without scripts; these add liveness.

import { startDialogs } from "./dialogs.js";
import { startLive } from "./live.js";
import { startKeys } from "./keys.js";
import { startLogView } from "./log-view.js";
import { startJobForm } from "./job-form.js";
import { startPalette } from "./palette.js";
import { startPreferences } from "./preferences.js";
import { startTimes } from "./times.js";

for (const element of document.querySelectorAll("[data-with-scripts]")) element.hidden = false;
for (const element of document.querySelectorAll("[data-without-scripts]")) element.hidden = true;

document.querySelector("[data-focus]")?.focus();
startLive(); // first: it remembers the regions as the server sent them
startTimes();
startDialogs();
startLogView();
startJobForm();
startPreferences();
startPalette();
startKeys();
document.documentElement.dataset.ready = ""; // keys and live parts work from here on
