import { request } from 'node:http';
import type { HttpApp } from './http-app.js';

/**
 * Sends a request target unchanged, which `fetch` would normalize. Returns the status.
 *
 * @param app the application, or the URL of its server
 */
export async function rawStatus(
  app: HttpApp | string,
  path: string,
  method = 'GET',
  headers: Record<string, string> = {},
): Promise<number> {
  const { port } = new URL(typeof app === 'string' ? app : await app.nest.getUrl());
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, method, path, headers, agent: false }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode ?? 0));
    })
      .once('error', reject)
      .end();
  });
}
