// The canvas that a visitor draws on: strokes of the pointer, in 0 to 1, and how they look.

export class Paper {
  #canvas;
  #changed;
  #drawing = false;
  /** @type {{x: number, y: number}[][]} */
  strokes = [];

  /** @param {HTMLCanvasElement} canvas @param {() => void} changed called after every change. */
  constructor(canvas, changed) {
    this.#canvas = canvas;
    this.#changed = changed;
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (this.#drawing = false));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#paint());
  }

  /** Replaces what was drawn. */
  set(strokes) {
    this.strokes = strokes;
    this.#paint();
    this.#changed();
  }

  #begin(event) {
    if (event.button !== 0) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#drawing = true;
    this.set([...this.strokes, [this.#point(event)]]);
  }

  #move(event) {
    if (!this.#drawing) return;
    // a fast pen moves many times between two frames
    const events = event.getCoalescedEvents?.() ?? [];
    this.strokes.at(-1).push(...(events.length ? events : [event]).map((each) => this.#point(each)));
    this.set(this.strokes);
  }

  #point({ clientX, clientY }) {
    const { left, top, width, height } = this.#canvas.getBoundingClientRect();
    return { x: (clientX - left) / width, y: (clientY - top) / height };
  }

  #paint() {
    const { width, height } = this.#canvas;
    const context = this.#canvas.getContext("2d");
    context.clearRect(0, 0, width, height);
    context.strokeStyle = getComputedStyle(this.#canvas).color;
    Object.assign(context, { lineWidth: width / 14, lineCap: "round", lineJoin: "round" });
    for (const stroke of this.strokes) {
      context.beginPath();
      context.moveTo(stroke[0].x * width, stroke[0].y * height);
      for (const { x, y } of stroke) context.lineTo(x * width, y * height);
      context.stroke();
    }
  }
}
