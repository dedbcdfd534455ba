import { request } from 'node:http';
import type { HttpApp } from './http-app.js';

/** Sends a path unchanged, which `fetch` would normalize. Returns the status. */
export async function rawStatus(
  app: HttpApp,
  path: string,
  method = 'GET',
  headers: Record<string, string> = {},
): Promise<number> {
  const { port } = new URL(await app.nest.getUrl());
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, method, path, headers, agent: false }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode ?? 0));
    })
      .once('error', reject)
      .end();
  });
}
