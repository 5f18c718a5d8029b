// Pans, zooms and searches the graphs of `pyruntime inspect --html`, shows a step's details, sorts its tables.
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const part = (tag, text, attributes = {}) => {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(text);
  return made;
};

const SEARCHED = ["kernel", "weights"]; // what a step is found by, beside its name: terms of its details

class Graph {
  constructor(root, entry) {
    this.entry = entry;
    this.frame = root.querySelector(".graph");
    this.svg = this.frame.querySelector("svg");
    this.panel = root.querySelector(".details");
    this.input = root.querySelector("input[type=search]");
    this.told = root.querySelector(".found-count");
    this.nodes = [...this.svg.querySelectorAll(".node")];
    this.byName = new Map(this.nodes.map((n) => [n.dataset.name, n]));
    this.texts = new Map(this.nodes.map((n) => [n, this.text(n)]));
    this.paths = [...this.svg.querySelectorAll("path")];
    [this.width, this.height] = [Number(this.svg.dataset.width), Number(this.svg.dataset.height)];
    this.matches = [];
    this.at = -1;
    this.pointers = new Map();
    this.reset();
    this.listen(root);
  }

  // the part of the drawing that is seen: scale is pixels of the screen for one of the drawing
  show() {
    const { clientWidth: w, clientHeight: h } = this.frame;
    this.svg.setAttribute("viewBox", `${this.x} ${this.y} ${w / this.scale} ${h / this.scale}`);
  }

  reset() {
    const { clientWidth: w } = this.frame;
    this.scale = Math.min(1, w / (this.width + 40));
    if (this.scale < 0.35) this.scale = Math.min(1, 0.7);
    this.x = this.width / 2 - w / this.scale / 2;
    this.y = -20;
    this.show();
  }

  whole() {
    const { clientWidth: w, clientHeight: h } = this.frame;
    this.scale = Math.min(1, w / (this.width + 40), h / (this.height + 40));
    this.x = this.width / 2 - w / this.scale / 2;
    this.y = this.height / 2 - h / this.scale / 2;
    this.show();
  }

  zoom(factor, px = this.frame.clientWidth / 2, py = this.frame.clientHeight / 2) {
    const next = Math.min(4, Math.max(0.02, this.scale * factor));
    this.x += px / this.scale - px / next;
    this.y += py / this.scale - py / next;
    this.scale = next;
    this.show();
  }

  centre(node) {
    const { clientWidth: w, clientHeight: h } = this.frame;
    if (this.scale < 0.5) this.scale = 0.8;
    this.x = Number(node.dataset.x) - w / this.scale / 2;
    this.y = Number(node.dataset.y) - h / this.scale / 2;
    this.show();
  }

  select(name, move = false) {
    const node = this.byName.get(name);
    if (!node) return;
    for (const other of this.nodes) other.setAttribute("aria-pressed", other === node);
    for (const path of this.paths) {
      path.classList.toggle("lit", path.dataset.from === name || path.dataset.to === name);
    }
    if (move) this.centre(node);
    this.describe(name);
  }

  describe(name) {
    const rows = this.entry.details[name];
    const list = document.createElement("dl");
    for (const [term, value] of rows) {
      const told = document.createElement("dd");
      for (const [at, piece] of (Array.isArray(value) ? value : [value]).entries()) {
        if (at) told.append(", ");
        if (this.byName.has(piece) && piece !== name) {
          const link = part("button", piece, { className: "jump", type: "button" });
          link.addEventListener("click", () => this.select(piece, true));
          told.append(link);
        } else told.append(piece);
      }
      list.append(part("dt", term), told);
    }
    this.panel.replaceChildren(part("h3", name), list);
  }

  text({ dataset }) {
    const told = this.entry.details[dataset.name].filter(([term]) => SEARCHED.includes(term));
    return `${dataset.text} ${told.map(([, value]) => value).join(" ").toLowerCase()}`;
  }

  search() {
    const wanted = this.input.value.trim().toLowerCase();
    this.matches = wanted ? this.nodes.filter((n) => this.texts.get(n).includes(wanted)) : [];
    this.frame.classList.toggle("searching", this.matches.length > 0);
    for (const node of this.nodes) node.classList.toggle("found", this.matches.includes(node));
    this.at = -1;
    this.tell(wanted);
  }

  tell(wanted) {
    const count = this.matches.length;
    this.told.textContent = !wanted ? "" : this.at < 0 ? `${count} found` : `${this.at + 1} of ${count}`;
  }

  next(step) {
    if (!this.matches.length) return;
    this.at = (this.at + step + this.matches.length) % this.matches.length;
    this.select(this.matches[this.at].dataset.name, true);
    this.tell(this.input.value);
  }

  listen(root) {
    const place = (e) => {
      const box = this.frame.getBoundingClientRect();
      return [e.clientX - box.left, e.clientY - box.top];
    };
    this.frame.addEventListener("wheel", (e) => {
      if (!e.ctrlKey && !e.metaKey && !this.frame.contains(document.activeElement)) return;
      e.preventDefault();
      this.zoom(Math.exp(-e.deltaY * (e.ctrlKey ? 0.01 : 0.0015)), ...place(e));
    }, { passive: false });
    this.frame.addEventListener("pointerdown", (e) => {
      this.pointers.set(e.pointerId, place(e));
      this.moved = 0;
    });
    this.frame.addEventListener("pointermove", (e) => {
      const before = this.pointers.get(e.pointerId);
      if (!before) return;
      const now = place(e);
      const others = [...this.pointers].filter(([id]) => id !== e.pointerId).map(([, p]) => p);
      this.pointers.set(e.pointerId, now);
      if (others.length === 1) {
        const apart = (p) => Math.hypot(p[0] - others[0][0], p[1] - others[0][1]);
        if (apart(before) > 0) this.zoom(apart(now) / apart(before), ...others[0]);
        return;
      }
      this.moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
      if (this.moved > 4 && !this.frame.hasPointerCapture(e.pointerId)) {
        this.frame.setPointerCapture(e.pointerId);
        this.frame.classList.add("moving");
      }
      this.x -= (now[0] - before[0]) / this.scale;
      this.y -= (now[1] - before[1]) / this.scale;
      this.show();
    });
    for (const event of ["pointerup", "pointercancel", "lostpointercapture"]) {
      this.frame.addEventListener(event, (e) => {
        this.pointers.delete(e.pointerId);
        this.frame.classList.remove("moving");
      });
    }
    this.frame.addEventListener("click", (e) => {
      const node = e.target.closest(".node");
      if (node && this.moved <= 4) this.select(node.dataset.name);
    });
    const step = 60;
    const keys = {
      "+": () => this.zoom(1.25), "=": () => this.zoom(1.25), "-": () => this.zoom(0.8), 0: () => this.reset(),
      ArrowLeft: () => { this.x -= step / this.scale; this.show(); },
      ArrowRight: () => { this.x += step / this.scale; this.show(); },
      ArrowUp: () => { this.y -= step / this.scale; this.show(); },
      ArrowDown: () => { this.y += step / this.scale; this.show(); },
    };
    this.frame.addEventListener("keydown", (e) => {
      const node = e.target.closest(".node");
      if (node && (e.key === "Enter" || e.key === " ")) this.select(node.dataset.name);
      else if (keys[e.key] && !e.ctrlKey && !e.metaKey) keys[e.key]();
      else return;
      e.preventDefault();
    });
    // the browser would scroll the frame itself to a node that gets the focus
    this.frame.addEventListener("focusin", (e) => {
      const node = e.target.closest(".node");
      this.frame.scrollTo(0, 0);
      if (node && node.matches(":focus-visible")) this.centre(node);
    });
    this.frame.addEventListener("scroll", () => this.frame.scrollTo(0, 0));
    this.input.addEventListener("input", () => this.search());
    this.input.addEventListener("keydown", (e) => {
      if (e.key === "Enter") this.next(e.shiftKey ? -1 : 1);
      else return;
      e.preventDefault();
    });
    const does = {
      in: () => this.zoom(1.25), out: () => this.zoom(0.8), fit: () => this.whole(), top: () => this.reset(),
    };
    for (const button of root.querySelectorAll("[data-do]")) {
      button.addEventListener("click", does[button.dataset.do]);
    }
    for (const button of document.querySelectorAll(`[data-graph="${root.id}"]`)) {
      button.addEventListener("click", () => {
        this.select(button.dataset.step, true);
        root.scrollIntoView();
      });
    }
    new ResizeObserver(() => this.show()).observe(this.frame);
  }
}

for (const [number, entry] of data.entries.entries()) {
  const root = document.getElementById(`graph-${number}`);
  if (root) new Graph(root, entry);
}

for (const head of document.querySelectorAll("table.sortable th")) {
  const column = head.cellIndex;
  const button = part("button", head.textContent, { type: "button" });
  head.replaceChildren(button);
  button.addEventListener("click", () => {
    const body = head.closest("table").tBodies[0];
    const sorted = head.getAttribute("aria-sort");
    const up = sorted ? sorted === "descending" : !head.classList.contains("n"); // numbers: the largest first
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const compare = (a, b) => {
      const [x, y] = [value(a), value(b)];
      const number = Number(x) - Number(y);
      return Number.isNaN(number) ? x.localeCompare(y) : number;
    };
    body.append(...[...body.rows].sort((a, b) => (up ? compare(a, b) : compare(b, a))));
  });
}
