/** The visible part of the axis. Positions are in milliseconds or events; the axis begins at 0. */
export class Viewport {
  /** Position at the left edge. */
  start = 0;
  /** Positions per pixel. */
  step = 1;
  width = 1;
  private extent = 1;
  /** Where the axis begins. What lies before 0 is only visible after scrolling there. */
  private first = 0;
  private smallest = 1;

  /** @param smallest positions per pixel at the highest zoom. */
  setAxis(extent: number, smallest: number, first = 0): void {
    this.first = first;
    this.extent = Math.max(extent, smallest);
    this.smallest = smallest;
    this.fit();
  }

  setWidth(width: number): void {
    const whole = this.isWhole;
    this.width = Math.max(1, width);
    if (whole) this.fit();
    else this.clamp();
  }

  get end(): number {
    return this.start + this.step * this.width;
  }

  x(position: number): number {
    return (position - this.start) / this.step;
  }

  position(x: number): number {
    return this.start + x * this.step;
  }

  fit(): void {
    this.step = this.largest;
    this.start = 0;
    this.clamp();
  }

  /** @param factor below 1 zooms in. */
  zoom(factor: number, x: number): void {
    const fixed = this.position(x);
    this.step *= factor;
    this.clampStep();
    this.start = fixed - x * this.step;
    this.clamp();
  }

  pan(pixels: number): void {
    this.start += pixels * this.step;
    this.clamp();
  }

  /** Show exactly this range, clipped to the axis. */
  showRange(from: number, to: number): void {
    this.step = (to - from) / this.width;
    this.clampStep();
    this.start = from;
    this.clamp();
  }

  /** Show a range with a margin on both sides. */
  show(from: number, to: number): void {
    const margin = Math.max((to - from) * 0.15, this.smallest * 20);
    this.step = (to - from + 2 * margin) / this.width;
    this.clampStep();
    this.start = (from + to) / 2 - (this.width * this.step) / 2;
    this.clamp();
  }

  /** Scroll as little as necessary to make a position visible. */
  reveal(position: number): void {
    const x = this.x(position);
    if (x < 0) this.pan(x - this.width * 0.2);
    else if (x > this.width) this.pan(x - this.width * 0.8);
  }

  private get largest(): number {
    // Leave a margin of 2 % behind the last event.
    return (this.extent * 1.02) / this.width;
  }

  private get isWhole(): boolean {
    return this.start === 0 && this.step >= this.largest * 0.999;
  }

  private clampStep(): void {
    const most = (this.extent * 1.02 - this.first) / this.width;
    this.step = Math.min(Math.max(this.step, Math.min(this.smallest, most)), most);
  }

  private clamp(): void {
    this.clampStep();
    this.start = Math.max(this.first, Math.min(this.start, this.extent * 1.02 - this.width * this.step));
  }
}
