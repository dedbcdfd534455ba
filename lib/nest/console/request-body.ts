import { BadRequestException, PayloadTooLargeException, UnsupportedMediaTypeException } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';

/** Largest body of a request, in bytes. */
const MAX_BODY_BYTES = 8192;

/** A request on Express or Fastify, whose body the application may have parsed. */
export type BodyRequest = (IncomingMessage | { readonly raw: IncomingMessage }) & { readonly body?: unknown };

/**
 * Returns the JSON of a request. Reads it itself where the application has no parser.
 *
 * @throws HttpException for another type of content, more than 8 kB, or malformed JSON
 */
export async function jsonOf(request: BodyRequest): Promise<unknown> {
  const message = 'raw' in request ? request.raw : request;
  const { 'content-type': type = '', 'content-length': length } = message.headers;
  if (!/^application\/json\s*(;|$)/i.test(type))
    throw new UnsupportedMediaTypeException('The body must be JSON.');
  if (Number(length ?? 0) > MAX_BODY_BYTES) throw tooLarge();
  if (request.body !== undefined) return request.body;
  const text = await readText(message);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new BadRequestException('The body is no valid JSON.', { cause });
  }
}

async function readText(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function tooLarge(): PayloadTooLargeException {
  return new PayloadTooLargeException(`The body may have ${MAX_BODY_BYTES} bytes.`);
}
