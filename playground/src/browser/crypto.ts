import { hmacSha256, joined, sha256 } from './sha256.js';

/**
 * The functions of Node's crypto that the emulated card and the explorer use, for a browser: synchronous, SHA-256 only.
 */
export function createHmac(_algorithm: 'sha256', key: Uint8Array) {
  const parts: Uint8Array[] = [];
  return {
    update: (part: Uint8Array) => parts.push(Uint8Array.from(part)),
    digest: () => hmacSha256(key, joined(parts)),
  };
}

/** The digest of a text, in base64. */
export function hash(_algorithm: 'sha256', text: string, _encoding: 'base64'): string {
  return btoa(String.fromCharCode(...sha256(new TextEncoder().encode(text))));
}
