import { addFolded, type FoldedStacks, functionCosts } from '../../../src/coverage/folded-stacks.js';
import { type Frame, framesOf, frameTree } from './frame-tree.js';

/** Pixels. */
const rowHeight = 20;
/** Narrower frames are not drawn. Part of the width. */
const narrowest = 1 / 2000;
/** Rows of the table of functions. */
const mostFunctions = 40;

const element = <Kind extends HTMLElement>(id: string): Kind => {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found as Kind;
};
const status = element('status');
const frames = element('frames');
const search = element<HTMLInputElement>('search');

const profile = document.querySelector('script[type="text/x-folded"]');
const name = profile?.getAttribute('data-name') ?? 'profile';
const stacks: FoldedStacks = new Map();
addFolded(atobText(profile?.textContent ?? ''), stacks);
const root = frameTree(stacks);
/** The frame that has the whole width. */
let zoomed = root;

document.title = `${name} · normalworld profile`;
element('title').textContent = name;
element('whole').addEventListener('click', () => zoomTo(root));
search.addEventListener('input', draw);
document.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape') return;
  if (search.value !== '') search.value = '';
  zoomTo(root);
});
frames.addEventListener('pointerleave', () => say(zoomed));
fillTable();
zoomTo(root);

/** The text is base64 in the page, so that it cannot end the script element. */
function atobText(base64: string): string {
  return new TextDecoder().decode(Uint8Array.from(atob(base64.trim()), (letter) => letter.charCodeAt(0)));
}

function zoomTo(frame: Frame): void {
  zoomed = frame;
  const hadFocus = frames.contains(document.activeElement);
  draw();
  if (hadFocus) frames.querySelector<HTMLElement>('.zoomed')?.focus();
  say(frame);
}

function say(frame: Frame): void {
  status.textContent = root.total === 0 ? 'The profile has no stacks.' : `${frame.name}: ${costOf(frame)}`;
}

function costOf({ total, self }: Pick<Frame, 'total' | 'self'>): string {
  return `${total.toLocaleString('en')} instructions, ${share(total)}; ${self.toLocaleString('en')} of them itself`;
}

function share(count: number): string {
  return `${root.total === 0 ? 0 : ((100 * count) / root.total).toFixed(1)} %`;
}

/** Draw the zoomed frame with its callers above it and its callees below. */
function draw(): void {
  const wanted = search.value.trim().toLowerCase();
  const isWanted = ({ name }: Frame) => wanted !== '' && name.toLowerCase().includes(wanted);
  const drawn: HTMLElement[] = [];
  let deepest = zoomed.depth;
  for (let caller = zoomed.caller; caller !== undefined; caller = caller.caller)
    drawn.push(box(caller, 0, 1, 'caller', isWanted(caller)));
  const place = (frame: Frame, left: number) => {
    const width = zoomed.total === 0 ? 1 : frame.total / zoomed.total;
    if (width < narrowest) return;
    deepest = Math.max(deepest, frame.depth);
    drawn.push(box(frame, left, width, frame === zoomed ? 'zoomed' : '', isWanted(frame)));
    let next = left;
    for (const callee of [...frame.callees.values()].sort((a, b) => b.total - a.total)) {
      place(callee, next);
      next += callee.total / zoomed.total;
    }
  };
  place(zoomed, 0);
  frames.replaceChildren(...drawn);
  frames.style.height = `${(deepest + 1) * rowHeight}px`;
  let found = 0;
  // A frame inside another one that matches is counted with it.
  for (const frame of framesOf(root)) if (isWanted(frame) && !hasWantedCaller(frame, isWanted)) found += frame.total;
  element('match').textContent = wanted === '' ? '' : share(found);
}

function hasWantedCaller({ caller }: Frame, isWanted: (frame: Frame) => boolean): boolean {
  for (let at = caller; at !== undefined; at = at.caller) if (isWanted(at)) return true;
  return false;
}

function box(frame: Frame, left: number, width: number, kind: string, isFound: boolean): HTMLElement {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = `${kind}${isFound ? ' found' : ''}`;
  button.textContent = frame.name;
  button.title = `${frame.name}: ${costOf(frame)}`;
  button.style.top = `${frame.depth * rowHeight}px`;
  button.style.left = `${left * 100}%`;
  button.style.width = `${width * 100}%`;
  button.style.setProperty('--hue', String(hueOf(frame.name)));
  button.addEventListener('click', () => zoomTo(frame));
  button.addEventListener('pointerenter', () => say(frame));
  button.addEventListener('focus', () => say(frame));
  return button;
}

/** From yellow to red, the same for a name in each profile. */
function hueOf(name: string): number {
  let hash = 0;
  for (const letter of name) hash = (Math.imul(hash, 31) + letter.charCodeAt(0)) >>> 0;
  return 10 + (hash % 50);
}

function fillTable(): void {
  const cell = (text: string) => {
    const made = document.createElement('td');
    made.textContent = text;
    return made;
  };
  element('functions').replaceChildren(
    ...functionCosts(stacks)
      .slice(0, mostFunctions)
      .map(({ name, self, total }) => {
        const row = document.createElement('tr');
        row.append(cell(name), cell(share(self)), cell(share(total)));
        return row;
      }),
  );
}
