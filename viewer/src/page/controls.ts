import type { TimelinePage } from './page.js';

/** Maps keys, pointer, wheel and buttons to actions of the page. */
export class Controls {
  /** Active touch and pen pointers on the canvas. */
  private readonly pointers = new Map<number, { x: number; y: number }>();
  private from: { x: number; y: number; moved: boolean } | undefined;

  constructor(private readonly page: TimelinePage) {}

  listen(): void {
    const { page } = this;
    const { canvas, byId, stage } = page;
    canvas.addEventListener('wheel', (event) => this.onWheel(event), { passive: false });
    canvas.addEventListener('pointerdown', (event) => this.onDown(event));
    canvas.addEventListener('pointermove', (event) => this.onMove(event));
    canvas.addEventListener('pointerup', (event) => this.onUp(event));
    canvas.addEventListener('pointercancel', (event) => this.pointers.delete(event.pointerId));
    canvas.addEventListener('dblclick', () => page.zoomToChosen());
    canvas.addEventListener('pointerleave', () => {
      page.hover = undefined;
      byId('tooltip').hidden = true;
      page.draw();
    });
    stage.tabIndex = 0;
    document.addEventListener('keydown', (event) => this.onKey(event));
    byId('axis-time').addEventListener('click', () => page.setAxis('time'));
    byId('axis-order').addEventListener('click', () => page.setAxis('order'));
    byId('zoom-in').addEventListener('click', () => page.zoom(0.6));
    byId('zoom-out').addEventListener('click', () => page.zoom(1 / 0.6));
    byId('fit').addEventListener('click', () => page.fit());
    byId('table-toggle').addEventListener('click', () => page.showTable(!page.tableShown));
    byId('help-toggle').addEventListener('click', () => (byId('help') as HTMLDialogElement).showModal());
    byId('link').addEventListener('click', () => this.makeLink());
    const input = byId('search') as HTMLInputElement;
    let timer = 0;
    input.addEventListener('input', () => {
      clearTimeout(timer);
      timer = window.setTimeout(() => page.search(input.value), 120);
    });
    byId('search-form').addEventListener('submit', (event) => {
      event.preventDefault();
      clearTimeout(timer);
      page.searchNext(input.value);
    });
  }

  /** Write the view into the page's address, and copy that to the clipboard if the browser permits it. */
  private makeLink(): void {
    history.replaceState(null, '', this.page.link);
    const { status } = { status: this.page.byId('status') };
    status.textContent = 'The address of this page now has this view.';
    navigator.clipboard?.writeText(location.href).catch(() => undefined);
  }

  private onWheel(event: WheelEvent): void {
    const { page } = this;
    const { viewport, gutter } = page;
    event.preventDefault();
    const x = event.offsetX - gutter;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) viewport.pan(event.deltaX || event.deltaY);
    else if (event.offsetX < gutter) page.scrollBy(event.deltaY);
    else viewport.zoom(Math.exp(event.deltaY * (event.ctrlKey ? 0.01 : 0.0016)), x);
    page.draw();
  }

  private onDown(event: PointerEvent): void {
    this.pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    this.from = { x: event.offsetX, y: event.offsetY, moved: this.pointers.size > 1 };
    this.page.canvas.setPointerCapture(event.pointerId);
  }

  private onMove(event: PointerEvent): void {
    const { page, pointers, from } = this;
    const before = pointers.get(event.pointerId);
    if (before !== undefined) pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    const [one, other] = [...pointers.values()];
    if (before !== undefined && one !== undefined && other !== undefined) {
      // Two fingers: zoom by the change of their distance.
      const [still] = [...pointers].flatMap(([id, place]) => (id === event.pointerId ? [] : [place]));
      if (still === undefined) return;
      const apart = Math.max(8, Math.abs(before.x - still.x));
      const now = Math.max(8, Math.abs(event.offsetX - still.x));
      page.viewport.zoom(apart / now, (one.x + other.x) / 2 - page.gutter);
      page.draw();
      return;
    }
    if (from !== undefined && event.buttons === 1) {
      const dx = event.offsetX - from.x;
      const dy = event.offsetY - from.y;
      if (!from.moved && Math.hypot(dx, dy) < 4) return;
      page.viewport.pan(-dx);
      page.scrollBy(-dy);
      this.from = { x: event.offsetX, y: event.offsetY, moved: true };
    }
    page.hover = event.offsetX < page.gutter ? undefined : page.viewport.position(event.offsetX - page.gutter);
    page.showTooltip(event.offsetX, event.offsetY);
    page.draw();
  }

  private onUp(event: PointerEvent): void {
    this.pointers.delete(event.pointerId);
    const clicked = this.from !== undefined && !this.from.moved;
    this.from = undefined;
    if (!clicked || event.offsetX < this.page.gutter) return;
    this.page.click(event.offsetX, event.offsetY, event.shiftKey);
  }

  private onKey(event: KeyboardEvent): void {
    const { page } = this;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target instanceof HTMLElement ? event.target : undefined;
    if (target?.closest('input:not([type=checkbox]), textarea, select, dialog[open]')) return;
    // Keys that a focused button or scrollable element handles itself are not handled here.
    const own = target?.closest('button, summary, a, label') !== null && target !== undefined;
    if (own && (event.key === 'Enter' || event.key === ' ')) return;
    if (target?.closest('#panel, #table') && event.key.startsWith('Arrow')) return;
    const actions: Record<string, () => void> = {
      ArrowLeft: () => page.viewport.pan(-80),
      ArrowRight: () => page.viewport.pan(80),
      ArrowUp: () => page.moveLane(-1),
      ArrowDown: () => page.moveLane(1),
      '+': () => page.zoom(0.6),
      '=': () => page.zoom(0.6),
      '-': () => page.zoom(1 / 0.6),
      '0': () => page.fit(),
      n: () => page.moveCall(1),
      p: () => page.moveCall(-1),
      '[': () => page.moveCursor(-1),
      ']': () => page.moveCursor(1),
      m: () => page.setMark(),
      o: () => page.setAxis(page.axis === 'time' ? 'order' : 'time'),
      r: () => page.showRun(),
      t: () => page.showTable(!page.tableShown),
      '/': () => page.byId('search').focus(),
      '?': () => (page.byId('help') as HTMLDialogElement).showModal(),
      Enter: () => page.zoomToChosen(),
      Escape: () => page.chooseNothing(),
    };
    const action = Object.hasOwn(actions, event.key) ? actions[event.key] : undefined;
    if (action === undefined) return;
    event.preventDefault();
    // After a key press, the position of the pointer is ignored until it moves.
    page.hover = undefined;
    page.byId('tooltip').hidden = true;
    action();
    page.draw();
  }
}
