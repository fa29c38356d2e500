import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

type Rgb = readonly [number, number, number];

const css = readFileSync(join(import.meta.dirname, '../../viewer/src/style.css'), 'utf8');
const [light = '', dark = ''] = css.split('@media (prefers-color-scheme: dark)');

/** A colour of the page, in linear RGB. */
function colour(scheme: string, name: string): Rgb {
  const hex = new RegExp(`--${name}: #([0-9a-f]{6});`).exec(scheme)?.[1] ?? 'none';
  const [red = Number.NaN, green = Number.NaN, blue = Number.NaN] = [0, 2, 4].map((at) => {
    const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return [red, green, blue];
}

/** What a person with deuteranopia sees, after Machado, Oliveira and Fernandes (2009). */
const deuteranopia = ([red, green, blue]: Rgb): Rgb => [
  0.367322 * red + 0.860646 * green - 0.227968 * blue,
  0.280085 * red + 0.672501 * green + 0.047413 * blue,
  -0.01182 * red + 0.04294 * green + 0.968881 * blue,
];

/** The contrast ratio of WCAG 2. */
function contrast(one: Rgb, other: Rgb): number {
  const luminance = ([red, green, blue]: Rgb) => 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  const [low = 0, high = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

describe('the colours of the timeline', () => {
  it.each([
    ['light', light],
    ['dark', dark],
  ])('distinguish secure world from an RPC by brightness, in %s mode', (_, scheme) => {
    const [secure, rpc] = [colour(scheme, 'secure'), colour(scheme, 'rpc')];
    expect(contrast(secure, rpc)).toBeGreaterThan(3);
    expect(contrast(deuteranopia(secure), deuteranopia(rpc))).toBeGreaterThan(3);
  });
});
