// rows.js keeps the rows of a table that a person has chosen, while the table is fetched anew,
// searched and paged: a form with data-rows is sent with all of them. Enter on a row's box goes
// to what can be done; Escape chooses none.
"use strict";
(() => {
  const form = document.querySelector("form[data-rows]");
  if (!form) return;
  const chosen = new Set();
  let last = null; // the box that was changed last, where a run of rows begins
  const boxes = () => [...document.querySelectorAll(`input[type="checkbox"][form="${form.id}"]`)];
  const count = () => {
    form.querySelector("[data-count]").textContent = String(chosen.size);
    form.classList.toggle("some", chosen.size > 0);
    const all = document.querySelector("[data-all]"), here = boxes().filter((b) => b.checked).length;
    if (!all) return;
    all.checked = here > 0 && here === boxes().length;
    all.indeterminate = here > 0 && !all.checked;
  };
  const choose = (box, yes) => {
    box.checked = yes;
    if (yes) chosen.add(box.value); else chosen.delete(box.value);
  };
  const show = () => {
    for (const b of boxes()) b.checked = chosen.has(b.value);
    count();
  };
  const none = () => { chosen.clear(); show(); };
  document.addEventListener("click", (e) => {
    if (e.target.matches("[data-none]")) none();
    if (!e.target.matches(`input[type="checkbox"]`) || e.target.form !== form) return;
    const all = boxes(), from = all.findIndex((b) => b.value === last), to = all.indexOf(e.target);
    last = e.target.value;
    if (!e.shiftKey || from < 0) return;
    for (const b of all.slice(Math.min(from, to), Math.max(from, to) + 1)) choose(b, e.target.checked);
  });
  document.addEventListener("change", (e) => {
    if (e.target.matches("[data-all]")) for (const b of boxes()) choose(b, e.target.checked);
    else if (e.target.form === form && e.target.type === "checkbox") choose(e.target, e.target.checked);
    else return;
    count();
  });
  document.addEventListener("keydown", (e) => {
    const onBox = e.target.form === form && e.target.type === "checkbox";
    if (e.key === "Enter" && onBox) {
      e.preventDefault();
      if (chosen.size) form.querySelector("button").focus();
    } else if (e.key === "Escape" && (onBox || form.contains(e.target))) {
      none();
      if (!onBox) boxes()[0]?.focus();
    }
  });
  document.addEventListener("htmx:afterSettle", show);
  // A page that the browser took out of its memory has its boxes as they were.
  addEventListener("pageshow", () => { for (const b of boxes()) if (b.checked) chosen.add(b.value); count(); });
  form.addEventListener("submit", () => {
    for (const old of form.querySelectorAll("[data-away]")) old.remove();
    const here = new Set(boxes().map((b) => b.value));
    for (const value of chosen) {
      if (here.has(value)) continue;
      const field = document.createElement("input");
      Object.assign(field, { type: "hidden", name: "address", value });
      field.dataset.away = "";
      form.append(field);
    }
  });
})();
