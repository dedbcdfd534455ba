import type { ServerResponse } from 'node:http';
import { onHttpAnswer } from '../transports/http-answer.js';

/** Headers of every answer of the console. */
const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

/** Fastify's reply. */
interface Reply {
  readonly raw: ServerResponse;
  hijack(): unknown;
}

/** A response on Express or Fastify, written past the framework: compression would hold back the events of a stream. */
export class ConsoleResponse {
  readonly #response: ServerResponse;
  readonly #hijack: () => unknown;

  constructor(given: ServerResponse | Reply) {
    this.#response = 'raw' in given ? given.raw : given;
    this.#hijack = 'raw' in given ? () => given.hijack() : () => undefined;
  }

  /** True if the request is a HEAD, whose answer has no body. */
  get isForHead(): boolean {
    return this.#response.req.method === 'HEAD';
  }

  /** Bytes that the client has not taken yet. */
  get waitingBytes(): number {
    return this.#response.writableLength;
  }

  /** Sends the header. From here on, the framework sends nothing, no error either. */
  begin(contentType: string, headers: Readonly<Record<string, string>> = {}, status = 200): void {
    this.#hijack();
    this.#response.writeHead(status, { ...HEADERS, ...headers, 'content-type': contentType });
  }

  /** Sends a whole answer. */
  send(contentType: string, text: string, status = 200): void {
    this.begin(contentType, {}, status);
    this.write(text);
    this.end();
  }

  redirect(location: string): void {
    this.begin('text/plain', { location }, 302);
    this.end();
  }

  write(text: string): void {
    if (!this.isForHead) this.#response.write(text);
  }

  end(): void {
    this.#response.end();
  }

  destroy(): void {
    this.#response.destroy();
  }

  /** Calls back when the response has ended or the client has left, immediately if that has already happened. */
  onClose(listener: () => void): void {
    onHttpAnswer(this.#response, listener);
  }
}
