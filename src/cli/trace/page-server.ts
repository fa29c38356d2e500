import { createHash, randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface PageServer extends Server {
  /** URL of the page, once the server listens. */
  pageUrl(): string;
}

/**
 * Serves one page to clients that know its URL. A trace may be confidential, but other users of the machine can reach
 * the port, and other web pages can use DNS rebinding to point a name to it. So the URL contains a secret, the Host
 * header must be the printed one, and the page's content policy permits no other connections.
 */
export function pageServer(page: string): PageServer {
  const path = `/${randomBytes(16).toString('hex')}/`;
  const policy = contentPolicy(page);
  const port = (server: Server) => (server.address() as AddressInfo).port;
  const server = createServer((request, response) => {
    const hosts = [`127.0.0.1:${port(server)}`, `localhost:${port(server)}`];
    const known = request.url === path && request.method === 'GET' && hosts.includes(request.headers.host ?? '');
    response.writeHead(known ? 200 : 404, {
      'content-type': known ? 'text/html; charset=utf-8' : 'text/plain; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-resource-policy': 'same-origin',
      'content-security-policy': known ? policy : "default-src 'none'",
    });
    response.end(known ? page : 'not found');
  });
  return Object.assign(server, { pageUrl: () => `http://127.0.0.1:${port(server)}${path}` });
}

/** A content policy that permits only the page's own scripts, and data URLs for the traces. */
function contentPolicy(page: string): string {
  const scripts = [...page.matchAll(/<script\b(?![^>]*application\/x-nwt)[^>]*>([\s\S]*?)<\/script>/g)];
  const hashes = scripts.map(([, script = '']) => `'sha256-${createHash('sha256').update(script).digest('base64')}'`);
  return [
    "default-src 'none'",
    `script-src ${hashes.join(' ')}`,
    "style-src 'unsafe-inline'",
    'img-src data: blob:',
    'font-src data:',
    'connect-src data: blob:',
    'worker-src blob: data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}
