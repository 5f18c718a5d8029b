// The canvas that a visitor draws on: strokes of the pointer, in 0 to 1, and how they look.

const NEAR = 0.008; // points nearer than this to the last one change nothing but the time that an image takes

export class Paper {
  #canvas;
  #changed;
  #pointer = null; // the one that draws: a second finger does not
  #example = false;
  /** @type {{x: number, y: number}[][]} */
  strokes = [];

  /** @param {HTMLCanvasElement} canvas @param {() => void} changed called after every change. */
  constructor(canvas, changed) {
    this.#canvas = canvas;
    this.#changed = changed;
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => this.#end(event));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#paint());
    this.#paint();
  }

  /** Shows an example: the visitor's next stroke takes its place. */
  show(strokes) {
    this.#replace(strokes, true);
  }

  /** Empties the paper. */
  clear() {
    this.#replace([], false);
  }

  #replace(strokes, example) {
    this.strokes = strokes;
    this.#example = example;
    this.#pointer = null;
    this.#update();
  }

  #update() {
    this.#paint();
    this.#changed();
  }

  #begin(event) {
    if (event.button !== 0 || this.#pointer !== null) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#pointer = event.pointerId;
    this.strokes = [...(this.#example ? [] : this.strokes), [this.#point(event)]];
    this.#example = false;
    this.#update();
  }

  #move(event) {
    if (event.pointerId !== this.#pointer) return;
    const stroke = this.strokes.at(-1);
    // a fast pen moves many times between two frames
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) {
      const [point, last] = [this.#point(each), stroke.at(-1)];
      if (Math.hypot(point.x - last.x, point.y - last.y) >= NEAR) stroke.push(point);
    }
    this.#update();
  }

  #end(event) {
    if (event.pointerId === this.#pointer) this.#pointer = null;
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
    this.#canvas.parentElement.classList.toggle("empty", !this.strokes.length);
  }
}
