"use strict";
/* The pages work without this: it sorts, filters, turns pages and listens to keys. No data is ever read as code. */
(() => {
  const root = document.documentElement;
  root.classList.add("js");

  // A page opened from disk may be refused storage.
  const keep = (store, key, value) => { try { window[store].setItem(key, value); } catch { /* not kept, then */ } };
  const kept = (store, key) => { try { return window[store].getItem(key); } catch { return null; } };

  const chosenTheme = kept("localStorage", "aha-theme");
  if (chosenTheme === "light" || chosenTheme === "dark") root.dataset.theme = chosenTheme;

  const isDark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

  function turnTheme() {
    root.dataset.theme = isDark() ? "light" : "dark";
    keep("localStorage", "aha-theme", root.dataset.theme);
  }

  let hintTimer = 0;
  function hint(words) {
    const place = document.getElementById("hint");
    place.textContent = words;
    clearTimeout(hintTimer);
    hintTimer = setTimeout(() => { place.textContent = ""; }, 3500);
  }

  const isTyping = (target) =>
    target.isContentEditable || ["TEXTAREA", "SELECT"].includes(target.tagName) ||
    (target.tagName === "INPUT" && !["checkbox", "button", "submit", "reset", "radio"].includes(target.type));

  function listen(keys) {
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented || event.isComposing) return;
      if (isTyping(event.target)) {
        if (event.key === "Escape") event.target.blur();
        return;
      }
      if (document.querySelector("dialog[open]")) return;
      const act = keys[event.key];
      if (act && act(event) !== false) event.preventDefault();
    });
  }

  const orderKey = () => `aha-order-${document.body.dataset.night}`;
  const openHelp = () => document.getElementById("help").showModal();

  function startEveryPage() {
    const top = document.getElementById("top");
    const measure = () => {
      const stays = getComputedStyle(top).position === "sticky";
      root.style.setProperty("--top", stays ? `${top.offsetHeight}px` : "0px");
    };
    new ResizeObserver(measure).observe(top);
    measure();
    document.getElementById("theme").addEventListener("click", turnTheme);
    document.getElementById("help-open").addEventListener("click", openHelp);
  }

  /* The list. */
  function startList() {
    const table = document.getElementById("night");
    if (!table) {
      document.getElementById("toolbar").hidden = true;
      listen({ t: turnTheme, "?": openHelp });
      return;
    }
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    const columns = new Map(heads.map((head, i) => [head.dataset.key, i]).filter(([key]) => key));
    const numeric = new Set(["position", "worth", "anyhow", "score", "features", "lightcurve", "triplet", "exotic", "prior", "det"]);
    const form = document.getElementById("toolbar");
    const field = (name) => form.elements.namedItem(name);
    const rows = [...body.rows].map((row, rank) => {
      const text = (key) => row.cells[columns.get(key)].textContent.trim();
      const values = {};
      for (const key of columns.keys()) {
        const shown = text(key);
        if (shown.startsWith("–") || shown === "") values[key] = null;
        else values[key] = numeric.has(key) ? Number.parseFloat(shown.replace("−", "-")) : shown.toLowerCase();
      }
      values.anyhow = row.dataset.anyhow ? Number.parseFloat(row.dataset.anyhow) : null;
      return {
        row, rank, values, link: row.querySelector(".id a"), className: row.dataset.class, isNew: "new" in row.dataset,
        sherlock: values.sherlock === null ? "-" : text("sherlock"), isJudged: "verdict" in row.cells[columns.get("verdict")].dataset,
        searched: `${text("id")} ${text("tns")} ${text("words")}`.toLowerCase(),
      };
    });
    let sort = { key: "position", direction: "ascending" };
    let shown = rows;
    let selected = null;

    const firstDirection = (key) => (numeric.has(key) && key !== "position" ? "descending" : "ascending");

    function compare(a, b) {
      const [x, y] = [a.values[sort.key], b.values[sort.key]];
      if (x === null || y === null) return x === y ? a.rank - b.rank : x === null ? 1 : -1;  // missing last, always
      const order = typeof x === "number" ? x - y : x < y ? -1 : x > y ? 1 : 0;
      return (sort.direction === "descending" ? -order : order) || a.rank - b.rank;
    }

    function isWanted(item) {
      const words = field("q").value.toLowerCase().split(/\s+/).filter(Boolean);
      const className = field("class").value;
      const least = Number.parseFloat(field("min").value);
      const judged = field("judged").value;
      return words.every((word) => item.searched.includes(word)) &&
        (!className || item.className === className ||
          (className === "flagged" && ["anomaly", "watch"].includes(item.className))) &&
        (!field("sherlock").value || item.sherlock === field("sherlock").value) &&
        (Number.isNaN(least) || (item.values.score !== null && item.values.score >= least)) &&
        (!judged || item.isJudged === (judged === "yes")) &&
        (!field("new").checked || item.isNew);
    }

    function show() {
      rows.sort(compare);
      shown = rows.filter(isWanted);
      const wanted = new Set(shown);
      for (const item of rows) item.row.hidden = !wanted.has(item);
      body.append(...rows.map((item) => item.row));
      for (const head of heads) {
        if (head.dataset.key === sort.key) head.setAttribute("aria-sort", sort.direction);
        else head.removeAttribute("aria-sort");
      }
      const rankBy = sort.key;
      field("rank").value = [...field("rank").options].some((o) => o.value === rankBy) ? rankBy : "";
      document.getElementById("count").textContent = `${shown.length} of ${rows.length}`;
      document.getElementById("empty").hidden = shown.length > 0;
      if (selected && selected.row.hidden) select(null);
      keep("sessionStorage", orderKey(), JSON.stringify(shown.map((item) => item.link.getAttribute("href").split("/").pop())));
      keep("sessionStorage", `${orderKey()}-list`, location.hash);
    }

    function writeHash() {
      const state = new URLSearchParams();
      for (const name of ["q", "class", "sherlock", "min", "judged"]) if (field(name).value) state.set(name, field(name).value);
      if (field("new").checked) state.set("new", "1");
      if (sort.key !== "position" || sort.direction !== "ascending") state.set("sort", `${sort.key}:${sort.direction}`);
      const hash = state.toString();
      // replaceState is refused by some browsers for pages from disk.
      try { history.replaceState(null, "", hash ? `#${hash}` : location.pathname); }
      catch { location.hash = hash; }
    }

    function readHash() {
      const state = new URLSearchParams(location.hash.slice(1));
      for (const name of ["q", "class", "sherlock", "judged"]) field(name).value = state.get(name) ?? "";
      const least = Number(state.get("min") ?? "");  // a field of numbers complains of any other text
      field("min").value = least > 0 ? least : "";
      field("new").checked = state.get("new") === "1";
      const [key, direction] = (state.get("sort") ?? "").split(":");
      const isKnown = (columns.has(key) || key === "anyhow") && ["ascending", "descending"].includes(direction);
      sort = isKnown ? { key, direction } : { key: "position", direction: "ascending" };
    }

    function sortBy(key, direction) {
      sort = { key, direction };
      writeHash();
      show();
    }

    function select(item, wantsFocus = true) {
      if (selected) selected.row.classList.remove("selected");
      selected = item;
      if (!item) return;
      item.row.classList.add("selected");
      if (wantsFocus) item.link.focus({ preventScroll: true });
      item.row.scrollIntoView({ block: "nearest" });
      keep("sessionStorage", `${orderKey()}-at`, item.link.getAttribute("href"));
    }

    function step(by) {
      if (!shown.length) return;
      const at = shown.indexOf(selected);
      select(shown[Math.min(Math.max(at + by, 0), shown.length - 1)]);
    }

    for (const head of heads.filter((item) => item.dataset.key)) {
      head.firstElementChild.addEventListener("click", () => {
        const key = head.dataset.key;
        const isAgain = sort.key === key;
        sortBy(key, isAgain ? (sort.direction === "ascending" ? "descending" : "ascending") : firstDirection(key));
      });
    }
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", (event) => {
      if (event.target.name === "rank") {
        sortBy(event.target.value, firstDirection(event.target.value));
      } else {
        writeHash();
        show();
      }
    });
    form.addEventListener("reset", () => setTimeout(() => { sort = { key: "position", direction: "ascending" }; writeHash(); show(); }));
    window.addEventListener("hashchange", () => { readHash(); show(); });
    body.addEventListener("click", (event) => {
      const item = rows.find((candidate) => candidate.row === event.target.closest("tr"));
      if (!item || event.target.closest("a") || String(getSelection())) return;
      select(item, false);
      item.link.click();
    });
    body.addEventListener("focusin", (event) => {
      const item = rows.find((candidate) => candidate.row === event.target.closest("tr"));
      if (item && item !== selected && event.target.matches(":focus-visible")) select(item, false);
    });
    listen({
      j: () => step(1), k: () => step(-1), t: turnTheme, "?": openHelp,
      "/": () => { window.scrollTo(0, 0); field("q").focus(); field("q").select(); },
      Enter: (event) => {
        if (!selected || event.target.closest("a, button")) return false;
        selected.link.click();
        return true;
      },
      ...verdictKeys(),
    });
    readHash();
    show();
    const lastOpened = kept("sessionStorage", `${orderKey()}-at`);
    const item = rows.find((candidate) => candidate.link.getAttribute("href") === lastOpened);
    if (item && !item.row.hidden) select(item, false);
  }

  /* An object's page. */
  function startObject() {
    const here = decodeURIComponent(location.pathname.split("/").pop());
    let order = null;
    try { order = JSON.parse(kept("sessionStorage", orderKey())); } catch { /* another version wrote it */ }
    const at = Array.isArray(order) ? order.indexOf(here) : -1;
    const [previous, next] = ["previous", "next"].map((id) => document.getElementById(id));
    if (at >= 0) {
      turnTo(previous, order[at - 1]);
      turnTo(next, order[at + 1]);
      const rank = document.getElementById("place");
      rank.textContent = `${rank.textContent}, ${at + 1} of ${order.length} in the list`;
    }
    const list = document.getElementById("to-list");
    const state = kept("sessionStorage", `${orderKey()}-list`);
    if (state && state.startsWith("#")) list.href = `../index.html${state}`;
    keep("sessionStorage", `${orderKey()}-at`, `objects/${here}`);
    const field = document.getElementById("verdict-next");
    if (field) field.value = next.hasAttribute("href") ? next.getAttribute("href") : here;
    const follow = (link) => {
      if (link.hasAttribute("href")) link.click();
      else hint(link === next ? "This is the last object of the list" : "This is the first object of the list");
    };
    listen({
      j: () => follow(next), k: () => follow(previous), l: () => list.click(), t: turnTheme, "?": openHelp,
      "/": () => { keep("sessionStorage", "aha-search", "1"); list.click(); },
      ...verdictKeys(),
    });
  }

  function turnTo(link, page) {
    if (typeof page === "string" && /^[\w-]+\.html$/.test(page)) {
      link.setAttribute("href", page);
      link.removeAttribute("aria-disabled");
      link.removeAttribute("role");
    } else {
      link.removeAttribute("href");
      link.setAttribute("aria-disabled", "true");
      link.setAttribute("role", "link");
    }
  }

  function verdictKeys() {
    const judge = (selector) => () => {
      const button = document.querySelector(selector);
      if (button) button.click();
      else if (document.body.classList.contains("list")) hint("Verdicts are given on an object's page");
      else if (document.querySelector(".verdict-bar")) hint("There is no verdict to take back");
      else hint("Verdicts are kept by aha-annotator inspect");
    };
    const named = { a: "anomaly", r: "regular", b: "artefact", u: "unknown" };
    const keys = { z: judge(".verdict-undo") };
    for (const [key, name] of Object.entries(named)) keys[key] = judge(`.verdict-button[data-verdict="${name}"]`);
    return keys;
  }

  document.addEventListener("DOMContentLoaded", () => {
    startEveryPage();
    if (document.body.classList.contains("list")) startList();
    else startObject();
    if (document.body.classList.contains("list") && kept("sessionStorage", "aha-search") === "1") {
      keep("sessionStorage", "aha-search", "");
      document.getElementById("q").focus();
    }
  });
})();
