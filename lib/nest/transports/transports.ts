import {
  Inject,
  Injectable,
  Logger,
  type ExecutionContext,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { quote } from '../../common/describe.js';
import { RATE_LIMIT_OPTIONS } from '../options/rate-limit.tokens.js';
import { stateOf, type RequestState } from '../request/request-state.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { identifyCall, objectIn, hintedCall } from './calls.js';
import { graphqlTransport } from './graphql.transport.js';
import { httpStateHolder, HttpTransport } from './http.transport.js';
import { rpcTransport } from './rpc.transport.js';
import type { Transport } from './transport.js';
import { wsTransport } from './ws.transport.js';

/** A kind of context that nobody has heard of: its handlers are limited all the same, by key or for all clients together. */
const unknownTransport: Transport = {
  stateHolder: (context) => identifyCall(context, firstObject(context)),
  callHint: firstObject,
  requestOf: () => undefined,
  addressOf: () => undefined,
  refusal: (exception) => exception,
};

const transports: ReadonlyMap<string, Transport> = new Map([
  ['graphql', graphqlTransport],
  ['ws', wsTransport],
  ['rpc', rpcTransport],
]);

/** The state of a call, as decorators of its parameters see it. */
export function stateForParameter(context: ExecutionContext): RequestState | undefined {
  const type: string = context.getType();
  if (type === 'http') return stateOf(httpStateHolder(context));
  const hint = (transports.get(type) ?? unknownTransport).callHint?.(context);
  const call = hintedCall(context, hint);
  return call && stateOf(call);
}

function firstObject(context: ExecutionContext): object | undefined {
  return context.getArgs<unknown[]>().map(objectIn).find(Boolean);
}

/** The transports by type of context. */
@Injectable()
export class Transports implements OnApplicationBootstrap {
  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(HttpTransport) readonly http: HttpTransport,
  ) {}

  /** A type that this library does not know may be somebody's own, or misspelt. */
  onApplicationBootstrap(): void {
    const known = ['http', ...transports.keys()];
    for (const type of this.options.transports ?? [])
      if (!known.includes(type))
        new Logger('RateLimit').warn(
          `The option "transports" names ${quote(type)}, which is none of ${known.join(', ')}: it limits only contexts that call themselves so.`,
        );
  }

  /** The transport of a type of context; `undefined` when its requests are not to be limited. */
  get(type: string): Transport | undefined {
    const { transports: limited } = this.options;
    if (limited !== undefined && !limited.includes(type)) return undefined;
    return type === 'http' ? this.http : (transports.get(type) ?? unknownTransport);
  }
}
