import { Inject, Injectable, type ExecutionContext } from '@nestjs/common';
import { RATE_LIMIT_OPTIONS } from '../rate-limit.tokens.js';
import type { ResolvedOptions } from '../resolve-options.js';
import { graphqlTransport } from './graphql.transport.js';
import { carrierOfHttp, HttpTransport } from './http.transport.js';
import { rpcTransport } from './rpc.transport.js';
import type { Transport } from './transport.js';
import { wsTransport } from './ws.transport.js';

/** A kind of context that nobody has heard of: its handlers are limited all the same, by key or for all clients together. */
const unknownTransport: Transport = {
  carrierOf: (context): unknown[] => context.getArgs(),
  requestOf: () => undefined,
  addressOf: () => undefined,
  refusal: (exception) => exception,
};

const transports: ReadonlyMap<string, Transport> = new Map([
  ['graphql', graphqlTransport],
  ['ws', wsTransport],
  ['rpc', rpcTransport],
]);

/** Where the state of a request is kept. */
export function carrierOf(context: ExecutionContext): object {
  const type: string = context.getType();
  return type === 'http'
    ? carrierOfHttp(context)
    : (transports.get(type) ?? unknownTransport).carrierOf(context);
}

/** The transports by type of context. */
@Injectable()
export class Transports {
  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(HttpTransport) readonly http: HttpTransport,
  ) {}

  /** The transport of a type of context; `undefined` when its requests are not to be limited. */
  of(type: string): Transport | undefined {
    const { transports: limited } = this.options;
    if (limited !== undefined && !limited.includes(type)) return undefined;
    return type === 'http' ? this.http : (transports.get(type) ?? unknownTransport);
  }
}
