// live.js makes pages live, and does the few things that forms can't: it tells htmx which
// parts to fetch as events come, says when the page is out of touch, sends the CSRF token,
// copies text, counts down. It makes no markup: all words stand in the templates.
"use strict";
(() => {
  const patience = 5000; // for an answer to what a page asks by itself
  const csrf = () => document.querySelector('meta[name="csrf"]')?.content ?? "";
  document.addEventListener("htmx:configRequest", (e) => {
    // What a page asks for by itself doesn't show that the person is still there.
    if (e.detail.triggeringEvent?.type.startsWith("live:")) {
      e.detail.headers["X-Background"] = "true";
      e.detail.timeout = patience;
    }
    if (csrf()) e.detail.headers["X-CSRF-Token"] = csrf();
  });
  // A session that has ended answers with the log-in page: go there, not into a part.
  document.addEventListener("htmx:beforeSwap", (e) => {
    const to = e.detail.xhr.responseURL && new URL(e.detail.xhr.responseURL).pathname;
    if (to === "/login" && location.pathname !== "/login") {
      e.detail.shouldSwap = false;
      location.assign("/login?next=" + encodeURIComponent(location.pathname + location.search));
    }
  });

  // What comes by itself must not take a button or a link away under a finger: it waits until
  // the finger is up, and is fetched anew then.
  let pressed = false;
  const late = new Set();
  document.addEventListener("pointerdown", () => { pressed = true; }, true);
  for (const up of ["pointerup", "pointercancel"]) {
    document.addEventListener(up, () => {
      pressed = false;
      setTimeout(() => { // the click comes first
        for (const el of late) el.dispatchEvent(new CustomEvent("live:late"));
        late.clear();
      });
    }, true);
  }
  document.addEventListener("htmx:beforeSwap", (e) => {
    if (!pressed || !e.detail.requestConfig.triggeringEvent?.type.startsWith("live:")) return;
    e.detail.shouldSwap = false;
    late.add(e.detail.target);
  });

  // What comes by itself leaves a person where he was: the focus on a link or button that has no
  // ID (htmx sees to those that have), what was unfolded, how far tables were scrolled. They are
  // found again by what they say and where among their like they stand.
  const sign = (el) => [el.tagName, el.getAttribute("href") ?? el.getAttribute("name") ?? "", el.tagName === "SUMMARY" ? "" : el.getAttribute("value") ?? ""].join(" ");
  const alike = (root, el) => [...root.querySelectorAll(el.tagName)].filter((other) => sign(other) === sign(el));
  let left = null;
  document.addEventListener("htmx:beforeSwap", (e) => {
    const root = e.detail.target, at = document.activeElement;
    left = null;
    if (!e.detail.shouldSwap || !root?.id || !e.detail.requestConfig.triggeringEvent?.type.startsWith("live:")) return;
    const focused = root.contains(at) && !at.id ? { sign: sign(at), tag: at.tagName, place: alike(root, at).indexOf(at) } : null;
    left = {
      id: root.id, focused,
      open: [...root.querySelectorAll("details")].map((d) => d.open),
      scrolled: [...root.querySelectorAll(".scroll")].map((s) => [s.scrollLeft, s.scrollTop]),
    };
  });
  document.addEventListener("htmx:afterSettle", () => {
    const root = left && document.getElementById(left.id), was = left;
    left = null;
    if (!root) return;
    const details = [...root.querySelectorAll("details")], scrolls = [...root.querySelectorAll(".scroll")];
    if (details.length === was.open.length) details.forEach((d, i) => { d.open = was.open[i]; });
    if (scrolls.length === was.scrolled.length) scrolls.forEach((s, i) => { [s.scrollLeft, s.scrollTop] = was.scrolled[i]; });
    if (!was.focused || document.activeElement !== document.body) return;
    const same = [...root.querySelectorAll(was.focused.tag)].filter((el) => sign(el) === was.focused.sign);
    (same[was.focused.place] ?? same[0])?.focus({ preventScroll: true });
  });

  // The look: at once, and kept by the server's cookie.
  document.addEventListener("submit", (e) => {
    const form = e.target.closest("[data-theme-switch]");
    if (!form || !e.submitter) return;
    e.preventDefault();
    document.documentElement.dataset.theme = e.submitter.value;
    for (const b of form.querySelectorAll("button")) b.setAttribute("aria-pressed", String(b === e.submitter));
    const body = new URLSearchParams(new FormData(form, e.submitter));
    fetch(form.action, { method: "POST", body, headers: { "X-CSRF-Token": csrf() }, redirect: "manual" });
    document.dispatchEvent(new Event("look"));
  });

  // Copy buttons: data-copy names the element whose text is copied; what to say then is in data-done.
  document.addEventListener("click", async (e) => {
    const button = e.target.closest("[data-copy]");
    if (!button) return;
    const from = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(from.textContent.trim());
      say(button.dataset.done ?? "");
    } catch {
      getSelection().selectAllChildren(from);
    }
  });
  let quiet;
  const say = (text) => {
    const said = document.getElementById("said");
    said.textContent = text;
    clearTimeout(quiet);
    quiet = setTimeout(() => { said.textContent = ""; }, 2500);
  };

  // Dialogs that ask before something is done: a button with data-dialog opens one.
  document.addEventListener("click", (e) => {
    const opener = e.target.closest("[data-dialog]");
    if (opener) document.getElementById(opener.dataset.dialog)?.showModal();
    const closer = e.target.closest("[data-close]");
    if (closer) closer.closest("dialog")?.close();
  });

  // What takes long is given up by a button with data-cancel in its form.
  document.addEventListener("click", (e) => {
    const form = e.target.closest("[data-cancel]")?.closest("form");
    if (form) htmx.trigger(form, "htmx:abort");
  });

  // Countdowns: data-until is the end, data-then where to look when it is over.
  setInterval(() => {
    for (const el of document.querySelectorAll("[data-until]")) {
      const left = Math.max(0, Math.round((Date.parse(el.dataset.until) - Date.now()) / 1000));
      el.textContent = Math.floor(left / 60) + ":" + String(left % 60).padStart(2, "0");
      if (left === 0) document.dispatchEvent(new Event("countdown"));
    }
  }, 1000);

  // An appliance that starts anew: data-await is where to go once it has been away and answers again,
  // or where it was back before anybody saw it go.
  const awaited = document.querySelector("[data-await]");
  if (awaited) {
    const began = Date.now();
    let gone = false;
    const look = async () => {
      try {
        await fetch("/healthz", { cache: "no-store", headers: { "X-Background": "true" }, signal: AbortSignal.timeout(patience) });
        if (gone || Date.now() - began > 4000) return location.assign(awaited.dataset.await);
      } catch { gone = true; }
      setTimeout(look, 300);
    };
    look();
    return;
  }

  // Events. A part of a page listens by hx-trigger="live:TOPIC".
  if (!document.querySelector("[data-live]")) return;
  // Kinds of event, by the topic that parts listen to.
  const kinds = {
    lease: ["granted", "renewed", "changed", "released", "expired", "moved", "found", "declined", "lost", "reserved", "unreserved", "evicted"],
    member: ["joined", "left", "connected", "away", "path"],
    health: ["raised", "cleared"],
    mode: ["changed"],
    group: ["joined", "left", "changed"],
  };
  const bar = () => document.getElementById("touch"); // which a form that was sent may have replaced
  const show = (what) => {
    bar().hidden = !what;
    bar().classList.toggle("back", what === "back");
    for (const s of bar().querySelectorAll("[data-touch]")) if (s.dataset.touch !== "since") s.hidden = s.dataset.touch !== what;
  };
  let lost = false, fresh = new Date(), doubt = false;
  const heard = () => {
    fresh = new Date();
    doubt = false;
    if (!lost) return;
    lost = false;
    show("back");
    setTimeout(() => { if (!lost) show(""); }, 3000);
    tell("tick");
    listen(); // what it was told in the meantime went nowhere, maybe: the stream is taken up anew
  };
  const miss = () => {
    if (!lost) bar().querySelector('[data-touch="since"]').textContent = fresh.toLocaleTimeString();
    lost = true;
    show("lost");
  };
  document.addEventListener("countdown", () => tell("mode"));
  // A part is told no more often than its trigger's throttle lets it hear, and once more after
  // that, so that the last of many changes isn't missed.
  const told = new Map(); // by part and topic
  const tellPart = (el, topic) => {
    const key = el.id + " " + topic, last = told.get(key) ?? { at: -Infinity };
    const throttle = el.getAttribute("hx-trigger").match(new RegExp("live:" + topic + " throttle:(\\d+)s"))?.[1] ?? 0;
    const wait = last.at + throttle * 1000 + 50 - performance.now();
    if (wait <= 0) {
      told.set(key, { at: performance.now() });
      el.dispatchEvent(new CustomEvent("live:" + topic));
    } else {
      last.again ??= setTimeout(() => {
        told.delete(key);
        const now = document.getElementById(el.id);
        if (now) tellPart(now, topic);
      }, wait);
    }
  };
  const tell = (topic) => document.body.querySelectorAll("[hx-trigger*='live:" + topic + "']").forEach((el) => tellPart(el, topic));

  // Rows that changed are marked for a few seconds: data-row is a row's lease, #fresh-words
  // says what a change is called. A renewal changes nothing that people look for.
  const marked = new Map(); // by address: the word, and until when
  const words = (kind) => document.querySelector(`#fresh-words [data-kind="${kind}"]`)?.textContent;
  const mark = () => {
    for (const [address, f] of marked) {
      const over = performance.now() >= f.until;
      if (over) marked.delete(address);
      const row = document.querySelector(`[data-row="${CSS.escape(address)}"]`);
      if (!row) continue;
      row.classList.toggle("fresh", !over);
      const said = row.querySelector("[data-fresh]");
      said.hidden = over;
      said.textContent = f.word;
    }
  };
  const note = (kind, data) => {
    const word = words(kind), address = JSON.parse(data).lease?.address;
    if (!word || !address) return;
    marked.set(address, { word, until: performance.now() + 6000 });
    mark();
    setTimeout(mark, 6050);
  };
  document.addEventListener("htmx:afterSwap", mark);
  document.addEventListener("htmx:sendError", miss);
  document.addEventListener("htmx:timeout", miss);
  document.addEventListener("htmx:afterOnLoad", heard);

  let source, retry, again = 2000, last = ""; // last is the ID of the last event
  const listen = () => {
    clearTimeout(retry);
    source?.close();
    source = new EventSource("/api/v1/events?types=lease,member,health,mode,group" + (last && "&after=" + encodeURIComponent(last)));
    source.onopen = () => { again = 2000; heard(); };
    const on = (name, topics) => source.addEventListener(name, (e) => {
      last = e.lastEventId;
      heard();
      if (name.startsWith("lease.")) note(name.slice("lease.".length), e.data);
      topics.forEach(tell);
    });
    for (const [topic, list] of Object.entries(kinds)) {
      for (const k of list) on(topic + "." + k, [topic]);
    }
    on("hello", []);
    on("reset", Object.keys(kinds));
    source.onerror = () => {
      doubt = true;
      // A stream that was cut off is taken up by the browser. One that was refused is not: the
      // answer to the next request says why.
      if (source.readyState !== EventSource.CLOSED) return;
      retry = setTimeout(listen, again);
      again = Math.min(again * 2, 60000);
    };
  };
  listen();
  // A cable that was pulled out somewhere is silence, which a connection takes for peace for
  // minutes: where nothing was heard for a while, the page's icon is asked for.
  let asking = false;
  const ask = async () => {
    if (asking || !doubt && !lost && Date.now() - fresh < 2 * patience) return;
    asking = true;
    await fetch(document.querySelector('link[rel="icon"]').href, { cache: "no-store", signal: AbortSignal.timeout(patience) }).then(heard, miss);
    asking = false;
  };
  // Rates and latencies change all the time and are no events.
  setInterval(() => {
    if (document.hidden) return;
    tell("tick");
    ask();
  }, 3000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) tell("tick"); });
})();
