"use strict";
// The page is whole without this script; with it, charts answer the pointer, columns sort and the
// reader chooses light or dark. Text from outside is only ever set as textContent.

const root = document.documentElement;

// Light and dark: the system's choice, until the reader makes one.
const button = document.getElementById("theme");
const dark = matchMedia("(prefers-color-scheme: dark)");
const remembered = (value) => {
  try {
    if (value !== undefined) localStorage.setItem("logminer-theme", value);
    return localStorage.getItem("logminer-theme");
  } catch {
    return null; // a file or a frame without storage
  }
};
const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
const label = () => { button.textContent = isDark() ? "Light" : "Dark"; };
if (["light", "dark"].includes(remembered())) root.dataset.theme = remembered();
button.hidden = false;
button.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  remembered(root.dataset.theme);
  label();
});
dark.addEventListener("change", label);
label();

// Charts: the mark under the pointer says its words.
const tip = document.getElementById("tip");
const say = (event) => {
  const mark = event.target.closest?.("figure path[role='graphics-symbol']");
  tip.hidden = !mark;
  if (!mark) return;
  tip.textContent = mark.getAttribute("aria-label");
  const gap = 14;
  const left = event.clientX + gap + tip.offsetWidth > innerWidth
    ? Math.max(8, event.clientX - gap - tip.offsetWidth) : event.clientX + gap;
  const top = event.clientY + gap + tip.offsetHeight > innerHeight
    ? Math.max(8, event.clientY - gap - tip.offsetHeight) : event.clientY + gap;
  tip.style.transform = `translate(${left}px, ${top}px)`;
};
for (const name of ["pointermove", "pointerdown"]) document.addEventListener(name, say);
document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

// Legends: a click leaves one colour, another click brings the others back.
for (const entry of document.querySelectorAll(".legend button")) {
  entry.addEventListener("click", () => {
    const only = entry.ariaPressed === "true" ? null : entry.dataset.colour;
    for (const other of entry.closest(".legend").querySelectorAll("button")) {
      other.ariaPressed = String(only !== null && other === entry);
    }
    for (const mark of entry.closest("figure").querySelectorAll("[fill^='var(--c'], [fill='var(--other)']")) {
      if (mark.closest(".legend")) continue;
      mark.style.opacity = only && mark.getAttribute("fill") !== only ? 0.15 : "";
    }
  });
}

// Tables: a click sorts, the next one turns the order around; numbers begin with the largest.
for (const head of document.querySelectorAll("th button")) {
  head.addEventListener("click", () => {
    const cell = head.closest("th");
    const row = [...cell.parentElement.children];
    const body = cell.closest("table").tBodies[0];
    const at = row.indexOf(cell);
    const number = cell.classList.contains("number");
    const up = cell.ariaSort ? cell.ariaSort !== "ascending" : !number;
    for (const other of row) other.removeAttribute("aria-sort");
    cell.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = (line) => line.cells[at].dataset.order;
    const compare = number ? (a, b) => key(a) - key(b) : (a, b) => key(a).localeCompare(key(b));
    body.append(...[...body.rows].sort((a, b) => (up ? compare(a, b) : compare(b, a))));
  });
}

// On paper nothing is folded.
addEventListener("beforeprint", () => {
  for (const each of document.querySelectorAll("details")) each.open = true;
});
