import { type PreviewServer, preview } from 'vite';

/** A folder of pages, served on loopback as any host of static sites would; `address` ends in a slash. */
export async function serveSite(folder: string): Promise<{ readonly address: string; close(): Promise<void> }> {
  const server: PreviewServer = await preview({
    configFile: false,
    logLevel: 'error',
    appType: 'mpa',
    root: folder,
    build: { outDir: folder },
    preview: { host: '127.0.0.1', port: 0 },
  });
  const address = server.httpServer.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return { address: `http://127.0.0.1:${address.port}/`, close: () => server.close() };
}
