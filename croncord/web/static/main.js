// Starts what the page asks for; each module is idle without its own data attributes.

import { startDialogs } from "./dialogs.js";
import { startLive } from "./live.js";
import { startKeys } from "./keys.js";
import { startLogView } from "./log-view.js";
import { startJobForm } from "./job-form.js";
import { startPalette } from "./palette.js";
import { startPreferences } from "./preferences.js";
import { startTimes } from "./times.js";

document.documentElement.dataset.scripts = ""; // shows what needs them, hides what replaces them
document.querySelector("[data-focus]")?.focus();
startLive(); // first: it remembers the regions as the server sent them
startTimes();
startDialogs();
startLogView();
startJobForm();
startPreferences();
startPalette();
startKeys();
document.documentElement.dataset.ready = "";
