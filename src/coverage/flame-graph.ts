import type { FoldedStacks } from './folded-stacks.js';

interface Frame {
  readonly name: string;
  count: number;
  readonly callees: Map<string, Frame>;
}

const [width, row, margin] = [1200, 17, 10];
/** Narrower frames are left out. Pixels. */
const narrowest = 0.3;
const characterWidth = 6.6;

/** A flame graph as SVG: callers below callees, with widths proportional to cost. Each frame has a tooltip. */
export function flameGraph(stacks: FoldedStacks, title: string): string {
  const root: Frame = { name: 'all', count: 0, callees: new Map() };
  for (const [stack, count] of stacks) {
    root.count += count;
    let at = root;
    for (const name of stack.split(';')) {
      const callee = at.callees.get(name) ?? { name, count: 0, callees: new Map() };
      at.callees.set(name, callee);
      callee.count += count;
      at = callee;
    }
  }
  const boxes: { readonly frame: Frame; readonly x: number; readonly width: number; readonly depth: number }[] = [];
  const scale = root.count === 0 ? 0 : (width - 2 * margin) / root.count;
  const place = (frame: Frame, x: number, depth: number) => {
    if (frame.count * scale < narrowest) return;
    boxes.push({ frame, x, width: frame.count * scale, depth });
    let next = x;
    for (const callee of [...frame.callees.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
      place(callee, next, depth + 1);
      next += callee.count * scale;
    }
  };
  place(root, margin, 0);
  const height = (Math.max(0, ...boxes.map(({ depth }) => depth)) + 1) * row + 50;
  const frames = boxes.map(({ frame, x, width, depth }) => {
    const y = height - margin - (depth + 1) * row;
    const share = root.count === 0 ? 0 : (100 * frame.count) / root.count;
    const room = Math.floor((width - 4) / characterWidth);
    const label = frame.name.length <= room ? frame.name : room > 3 ? `${frame.name.slice(0, room - 1)}…` : '';
    return (
      `<g><title>${escaped(frame.name)}: ${frame.count.toLocaleString('en')} instructions, ${share.toFixed(1)} %</title>` +
      `<rect x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${row - 1}" rx="1" fill="${colour(frame.name)}"/>` +
      `<text x="${(x + 3).toFixed(1)}" y="${y + 12}">${escaped(label)}</text></g>`
    );
  });
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="monospace" font-size="11">\n` +
    `<rect width="100%" height="100%" fill="#fff"/><text x="${margin}" y="22" font-size="15">${escaped(title)}</text>\n` +
    `${frames.join('\n')}\n</svg>\n`
  );
}

/** A colour derived from the name, so that it is the same in each graph. */
function colour(name: string): string {
  let hash = 0;
  for (const character of name) hash = (Math.imul(hash, 31) + (character.codePointAt(0) ?? 0)) >>> 0;
  return `hsl(${20 + (hash % 40)} 85% ${62 + ((hash >> 8) % 16)}%)`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
