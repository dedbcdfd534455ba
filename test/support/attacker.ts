import { request, type IncomingHttpHeaders } from 'node:http';
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';

/** A response, as far as attacks look at it. */
export interface RawReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

export interface RawRequest {
  method?: string;
  /** Sent unchanged. */
  path?: string;
  headers?: Record<string, string>;
  body?: string | Buffer;
}

let attackers = 0;

/** Returns a loopback address that no other attack of this process comes from. */
export function freshAddress(): string {
  attackers++;
  return `127.${1 + Math.floor(attackers / 62_500)}.${1 + (Math.floor(attackers / 250) % 250)}.${1 + (attackers % 250)}`;
}

/** A client with an address of its own, which sends whatever it likes. */
export class Attacker {
  readonly address = freshAddress();
  readonly #sockets: Socket[] = [];

  constructor(readonly port: number) {}

  /** Sends a request. The reply has the status 0 if there is none. */
  send({ method = 'POST', path = '/', headers = {}, body }: RawRequest): Promise<RawReply> {
    return new Promise((resolve) => {
      const failed = (): void => resolve({ status: 0, headers: {}, text: '' });
      const options = {
        host: '127.0.0.1',
        port: this.port,
        localAddress: this.address,
        agent: false,
      } as const;
      const sent = request({ ...options, method, path, headers }, (response) => {
        const chunks: Buffer[] = [];
        response
          .on('data', (chunk: Buffer) => chunks.push(chunk))
          .once('error', failed)
          .once('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              text: Buffer.concat(chunks).toString(),
            }),
          );
      });
      sent.once('error', failed).end(body);
    });
  }

  /** Opens a TCP connection. */
  async open(): Promise<Socket> {
    const socket = connect({ port: this.port, host: '127.0.0.1', localAddress: this.address });
    this.#sockets.push(socket);
    socket.on('error', () => undefined).resume();
    await once(socket, 'connect');
    return socket;
  }

  /** Opens a WebSocket by hand, and returns its TCP connection. */
  async upgrade(path: string, headers: Record<string, string> = {}): Promise<Socket> {
    const socket = await this.open();
    const fields = {
      Host: 'localhost',
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      ...headers,
    };
    const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);
    await Promise.race([once(socket, 'data'), once(socket, 'close')]);
    return socket;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

export interface FrameOptions {
  opcode?: number;
  isLast?: boolean;
  isMasked?: boolean;
  /** Reserved bits: 4, 2, 1. */
  reserved?: number;
}

/** Returns a frame of a WebSocket client. */
export function frame(
  payload: string | Buffer,
  { opcode = 1, isLast = true, isMasked = true, reserved = 0 }: FrameOptions = {},
): Buffer {
  const data = Buffer.from(payload);
  const mask = isMasked ? 0x80 : 0;
  const length =
    data.length < 126
      ? [mask | data.length]
      : data.length < 65_536
        ? [mask | 126, data.length >> 8, data.length & 255]
        : [
            mask | 127,
            0,
            0,
            0,
            0,
            data.length >>> 24,
            (data.length >> 16) & 255,
            (data.length >> 8) & 255,
            data.length & 255,
          ];
  const head = Buffer.from([(isLast ? 0x80 : 0) | (reserved << 4) | opcode, ...length]);
  return Buffer.concat(isMasked ? [head, Buffer.alloc(4), data] : [head, data]);
}

/** Waits until nothing has changed for some turns of the event loop and the network. */
export async function untilQuiet(read: () => unknown, turns = 40): Promise<void> {
  let before = JSON.stringify(read());
  for (let calm = 0; calm < turns;) {
    await setTimeout(1);
    const now = JSON.stringify(read());
    calm = now === before ? calm + 1 : 0;
    before = now;
  }
}

/** Collects what would end the process. */
export function watchProcess(): { readonly failures: unknown[]; stop(): void } {
  const failures: unknown[] = [];
  const remember = (error: unknown): void => void failures.push(error);
  process.on('unhandledRejection', remember);
  process.on('uncaughtException', remember);
  return {
    failures,
    stop: () => {
      process.off('unhandledRejection', remember);
      process.off('uncaughtException', remember);
    },
  };
}
