// forms.js has the server check forms as they are typed: a form with data-check is sent to its
// own route with a header that says so, and what is wrong with a field that the person has been in
// stands beside it. It knows no rules. A form works without it: what is wrong is said when it
// is sent. A form with data-upload shows how much of its file is sent.
"use strict";
(() => {
  const pause = 500; // ms without a key pressed
  const touched = new WeakSet(), waiting = new WeakMap(), asking = new WeakMap();

  // describe names what is said of a field: what stands there always, and what is wrong, if anything.
  const describe = (field, said) => {
    const always = (field.getAttribute("aria-describedby") ?? "").split(" ").filter((id) => id && !id.startsWith("wrong-"));
    const all = said ? [...always, said.id] : always;
    if (all.length) field.setAttribute("aria-describedby", all.join(" "));
    else field.removeAttribute("aria-describedby");
  };

  // say puts a text beside a field, or takes it away.
  const say = (field, text) => {
    const place = field.closest(".field") ?? field.parentElement;
    let said = place.querySelector(".wrong");
    if (!text) {
      said?.remove();
      field.removeAttribute("aria-invalid");
      describe(field);
      return;
    }
    if (!said) {
      said = document.createElement("p");
      said.className = "wrong";
      said.id = "wrong-" + field.id;
      place.append(said);
    }
    if (said.textContent !== text) said.textContent = text;
    field.setAttribute("aria-invalid", "true");
    describe(field, said);
  };

  // sayOfAll says what is wrong with no field: where the server says it, before the fields.
  const sayOfAll = (form, text) => {
    let said = form.querySelector(":scope > .wrong");
    if (!text) return said?.remove();
    if (!said) {
      said = document.createElement("p");
      said.className = "wrong";
      said.setAttribute("role", "status");
      form.append(said);
    }
    said.textContent = text;
  };

  const check = async (form) => {
    asking.get(form)?.abort();
    const stop = new AbortController();
    asking.set(form, stop);
    try {
      const answer = await fetch(form.action, {
        method: "POST", body: new URLSearchParams(new FormData(form)), signal: stop.signal, redirect: "error",
        headers: { "X-Check-Only": "true", "X-CSRF-Token": document.querySelector('meta[name="csrf"]')?.content ?? "" },
      });
      if (!answer.ok) return;
      const { fields, detail } = await answer.json();
      for (const field of form.elements) {
        if (touched.has(field)) say(field, fields[field.dataset.field ?? field.name]);
      }
      sayOfAll(form, detail);
    } catch { /* a newer check, or no network: what is wrong is said when the form is sent */ }
  };

  const soon = (e, after) => {
    const field = e.target, form = field.form;
    if (!form?.matches("form[data-check]") || !field.name) return;
    touched.add(field);
    clearTimeout(waiting.get(form));
    waiting.set(form, setTimeout(check, after, form));
  };
  document.addEventListener("input", (e) => soon(e, pause));
  document.addEventListener("change", (e) => soon(e, 0));
  document.addEventListener("submit", (e) => {
    clearTimeout(waiting.get(e.target));
    asking.get(e.target)?.abort();
  });

  // A form with data-upload is sent so that its progress can be told; without this file a browser
  // sends it by itself.
  document.addEventListener("submit", (e) => {
    const form = e.target.closest("form[data-upload]");
    if (!form) return;
    e.preventDefault();
    const bar = form.querySelector("progress"), button = form.querySelector("button"), sent = new XMLHttpRequest();
    sent.upload.addEventListener("progress", (p) => { if (p.lengthComputable) bar.value = 100 * p.loaded / p.total; });
    sent.addEventListener("load", () => {
      if (sent.status < 400) return location.assign(sent.responseURL);
      const main = new DOMParser().parseFromString(sent.responseText, "text/html").querySelector("main");
      if (main) document.querySelector("main").replaceWith(main);
      else location.reload();
    });
    sent.addEventListener("error", () => {
      bar.hidden = true;
      button.disabled = false;
      sayOfAll(form, "The upload broke off: is the appliance there? Try it again.");
    });
    bar.hidden = false;
    bar.value = 0;
    button.disabled = true;
    sent.open("POST", form.action);
    sent.send(new FormData(form));
  });
})();
