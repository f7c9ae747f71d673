// Optional enhancements; every page works without them.
"use strict";

// Copy buttons copy the field beside them to the clipboard.
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const field = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(field.value);
      button.textContent = "Copied";
    } catch {
      field.focus();
      field.select();
      button.textContent = "Press Ctrl+C";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2500);
  });
}

// Reloading a page that shows a secret must not post the form again.
if (document.querySelector("[data-once]")) {
  history.replaceState(null, "", location.pathname);
}

// A page that only sends a form on: the button is for browsers without script.
document.querySelector("form[data-submit]")?.requestSubmit();

// A page that waits for the operator asks again.
const again = document.querySelector("[data-again] .primary");
if (again) setTimeout(() => { again.click(); }, 1000);

// Login methods: the fields of a toggle and of the chosen protocol are shown; a toggle is enabled only while the toggle that it needs is on, and keeps its value meanwhile; the save bar reports unsaved changes.
const methods = document.getElementById("login-methods");
const showParts = () => {
  for (const part of methods.querySelectorAll("[data-shown-with]")) {
    part.hidden = !document.getElementById(part.dataset.shownWith).checked;
  }
  for (const part of methods.querySelectorAll("[data-shown-for]")) {
    part.hidden = document.getElementById("type").value !== part.dataset.shownFor;
  }
};
if (methods) showParts();
if (methods && !methods.dataset.readonly) {
  const before = new URLSearchParams(new FormData(methods)).toString();
  const drafted = methods.dataset.draft === "true";
  const bar = methods.querySelector(".savebar");
  const text = bar.querySelector("p");
  const clean = text.textContent;
  let sending = false;
  const follow = () => {
    for (const field of methods.querySelectorAll("[data-needs]")) {
      const needed = document.getElementById(field.dataset.needs);
      const off = !needed.checked || needed.disabled;
      field.disabled = off;
      document.getElementById(field.id + "-kept").disabled = !(off && field.checked);
      const why = document.getElementById(field.id + "-why");
      if (why) why.hidden = !off;
    }
    showParts();
    const dirty = drafted || new URLSearchParams(new FormData(methods)).toString() !== before;
    bar.classList.toggle("dirty", dirty);
    if (!drafted) text.textContent = dirty ? "You have changes that are not saved. Nothing applies before Save." : clean;
  };
  methods.addEventListener("input", follow);
  methods.addEventListener("submit", () => { sending = true; });
  bar.querySelector("a").addEventListener("click", () => { sending = true; }); // Discard
  addEventListener("pageshow", () => { sending = false; });
  addEventListener("beforeunload", leaving => {
    if (!sending && bar.classList.contains("dirty")) leaving.preventDefault();
  });
  follow();
}
