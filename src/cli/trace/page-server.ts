import { createHash, randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface PageServer extends Server {
  /** Where the page is, when the server listens. */
  pageUrl(): string;
}

/**
 * Serves one page to whoever knows its address. A trace may hold what is nobody else's business: other users of the machine can
 * reach the port, and pages in the browser can have a name of theirs point to it. So the address holds a secret, the Host
 * header must be the one that was printed, and the page may load nothing and talk to nobody.
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

/** Only the page's own scripts run; it reads its traces from data URLs, and nothing else. */
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
