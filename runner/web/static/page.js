// What the page does by itself: it looks again while it is seen, says when nobody answers, and can be used by keys alone.
"use strict";
(() => {
  const live = document.getElementById("live"), lost = document.querySelector(".lost");
  let etag = null, failures = 0, timer = 0, turns = 0;
  const every = Number(live && live.dataset.live || 0) * 1000;

  // ---- looking again: only the live part, only when it has changed, only while somebody can see it
  const again = (wait) => { clearTimeout(timer); if (every) timer = setTimeout(look, wait); };
  async function look() {
    if (document.hidden) return;
    const turn = ++turns;
    try {
      const headers = { "X-Part": "live" };
      if (etag) headers["If-None-Match"] = etag;
      const answer = await fetch(location.href, { headers, cache: "no-store", redirect: "error", signal: AbortSignal.timeout && AbortSignal.timeout(20000) });
      const text = answer.status === 200 ? await answer.text() : "";
      if (turn !== turns) return;  // it was asked again meanwhile, maybe at another address: that answer counts
      if (answer.status === 200) { etag = etag === null || replace(text) ? answer.headers.get("ETag") : ""; found(); }
      else if (answer.status === 304) found();
      else if (answer.status === 401) location.reload();  // signed out meanwhile: the answer leads to the door
      else throw new Error(answer.status);
    } catch (error) { if (turn !== turns) return; missing(); }
    again(failures ? Math.min(30000, 2000 * failures) : every);
  }
  function found() { lost.hidden = true; document.body.classList.remove("stale"); failures = 0; }
  function missing() { failures += 1; if (failures > 1) { lost.textContent = lost.dataset.lost; lost.hidden = false; document.body.classList.add("stale"); } }

  // ---- the new part keeps what the person has: the focus, what is open, how far it is scrolled. Says whether it is shown.
  function replace(text) {
    const active = live.contains(document.activeElement) ? document.activeElement : null;
    if (active && /^(INPUT|SELECT|TEXTAREA)$/.test(active.tagName)) return false;
    const selection = String(getSelection());
    if (selection && live.contains(getSelection().anchorNode)) return false;  // somebody is about to copy
    const path = active && way(active), open = [...live.querySelectorAll("details[open]")].map((each) => each.id);
    const scrolls = [...live.querySelectorAll("[data-keep]")].map((each) => [each.dataset.keep, each.scrollLeft, each.scrollTop, each.scrollTop + each.clientHeight >= each.scrollHeight - 8]);
    live.innerHTML = text;
    for (const id of open) { const each = id && document.getElementById(id); if (each) each.open = true; }
    for (const [name, left, top, bottom] of scrolls) {
      const each = live.querySelector(`[data-keep="${name}"]`);
      if (each) { each.scrollLeft = left; each.scrollTop = each.hasAttribute("data-tail") && bottom ? each.scrollHeight : top; }
    }
    const target = path && path.reduce((at, place) => at && at.children[place], live);
    if (target) target.focus({ preventScroll: true });
    light();
    pass();
    return true;
  }
  function way(element) { const out = []; for (let at = element; at !== live; at = at.parentNode) out.unshift([...at.parentNode.children].indexOf(at)); return out; }

  // ---- one step is lit wherever it stands: in the graph, in time, in the table
  let lit = "";
  const stepOf = (each) => each.dataset.step.replace(/\[\d+\]$/, "");
  const light = () => { for (const each of live.querySelectorAll("[data-step]")) each.classList.toggle("on", stepOf(each) === lit); };
  for (const kind of ["mouseover", "focusin"]) document.addEventListener(kind, (event) => {
    const at = event.target.closest("[data-step]"), step = at ? stepOf(at) : "";
    if (step !== lit) { lit = step; light(); }
  });

  // ---- Tab goes from pipeline to pipeline; the arrows lead into the last runs of one
  const pass = () => { for (const each of document.querySelectorAll(".ticks a")) each.tabIndex = -1; };
  pass();

  // ---- from one error of a log to the next
  function jump(on) {
    const marks = [...document.querySelectorAll("#live .log:not(.hits) .h, #live .log:not(.hits) .e")], now = document.querySelector(".log .at"), at = marks.indexOf(now);
    const next = marks[on > 0 ? at + 1 : at < 0 ? marks.length - 1 : at - 1];
    if (!next) return;
    if (now) now.classList.remove("at");
    next.classList.add("at");
    next.scrollIntoView({ block: "center" });
  }
  document.addEventListener("click", (event) => { const at = event.target.closest("[data-jump]"); if (at) jump(Number(at.dataset.jump)); });

  // ---- a filter is part of the address, so that it can be sent to somebody
  let typing = 0;
  document.addEventListener("input", (event) => {
    const form = event.target.closest("form[data-filter]");
    if (!form) return;
    clearTimeout(typing);
    typing = setTimeout(async () => {
      const words = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
      history.replaceState(null, "", location.pathname + (String(words) ? "?" + words : ""));
      etag = "";
      look();
    }, 150);
  });

  // ---- keys: / to the filter, j and k through rows, arrows within a row and a grid, n and p from error to error
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const field = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && !event.target.dataset.x;
    if (event.key === "/" && !field) { const box = document.querySelector("input[type=search]"); if (box) { event.preventDefault(); box.focus(); box.select(); } }
    if (field) { if (event.key === "Escape") event.target.blur(); return; }
    if (event.key === "j" || event.key === "k") {
      const rows = [...document.querySelectorAll("tbody tr a.row")], at = rows.indexOf(document.activeElement);
      const next = rows[Math.max(0, Math.min(rows.length - 1, at + (event.key === "j" ? 1 : -1)))];
      if (next) next.focus();
    }
    if (event.key === "n" || event.key === "p") jump(event.key === "n" ? 1 : -1);
    if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
      const row = event.target.closest("tr"), way = row ? [...row.querySelectorAll("a.row, .ticks a")] : [], at = way.indexOf(event.target);
      const next = at < 0 ? null : way[at + (event.key === "ArrowRight" ? 1 : -1)];
      if (next) { event.preventDefault(); next.focus(); }
    }
    const cell = event.target.closest("[data-x]"), step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (cell && step) {
      const next = document.querySelector(`[data-x="${Number(cell.dataset.x) + step[0]}"][data-y="${Number(cell.dataset.y) + step[1]}"]`);
      if (next) { event.preventDefault(); next.focus(); next.scrollIntoView({ block: "nearest", inline: "nearest" }); }
    }
  });

  const hit = document.querySelector("[data-hit]");
  if (hit) hit.scrollIntoView({ block: "center" });
  for (const each of document.querySelectorAll("[data-tail]")) each.scrollTop = each.scrollHeight;
  for (const each of document.querySelectorAll("[data-middle]")) each.scrollLeft = (each.scrollWidth - each.clientWidth) / 2;
  for (const each of document.querySelectorAll("[data-right]")) each.scrollLeft = each.scrollWidth;
  document.addEventListener("visibilitychange", () => { if (!document.hidden && every) { document.body.classList.add("stale"); look(); } });  // who comes back sees what is old as old
  if (every) look();
})();
