import { Inject, Injectable, type ExecutionContext } from '@nestjs/common';
import { chain, type Awaitable } from '../../common/awaitable.js';
import { ResolverError } from '../../common/errors.js';
import { describeValue } from '../../common/describe.js';
import { AddressList } from '../../http/address-list.js';
import { clientNetwork, isAddress } from '../../http/client-address.js';
import { identityOf } from '../../common/identity.js';
import { assertOptionsObject, readOptions, type OptionNaming } from '../../common/options.js';
import { callUserFunction } from '../options/user-functions.js';
import { networkOptions } from '../options/module-options.js';
import type { RateLimitNetworks } from '../options/rate-limit.options.js';
import { RATE_LIMIT_OPTIONS } from '../options/rate-limit.tokens.js';
import type { ResolvedOptions } from '../options/resolve-options.js';
import { Warnings } from '../options/warnings.js';
import type { HttpRequest } from '../transports/http.transport.js';
import type { Transport } from '../transports/transport.js';
import type { IdentifiedRequest } from './identity-source.js';

/** The properties of Express and Fastify requests that concern proxies. */
interface ProxiedRequest extends HttpRequest {
  /** Express: the application and its settings. */
  readonly app?: { get?(setting: string): unknown };
  /** Fastify: the trusted addresses on the way; absent if it trusts no proxy. */
  readonly ips?: unknown;
}

/** Resolves client addresses, and warns once about a misconfigured proxy. */
@Injectable()
export class ClientAddresses {
  #allowed: AddressList | undefined;
  #denied: AddressList | undefined;

  /** The addresses that `clientIp` returned, since middleware and guards need that of a request. */
  readonly #resolved = new WeakMap<object, string>();

  constructor(
    @Inject(RATE_LIMIT_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(Warnings) private readonly warnings: Warnings,
  ) {
    const { allow, deny } = options;
    this.setNetworks({ allow, deny });
  }

  /**
   * Replaces the lists that are given. An empty list is none.
   *
   * @throws ConfigurationError for an unknown list, or an entry that is not a network
   */
  setNetworks(networks: RateLimitNetworks): void {
    this.prepareNetworks(networks)();
  }

  /**
   * Returns a function that replaces the lists that are given, once they are known to be valid.
   *
   * @throws ConfigurationError for an unknown list, or an entry that is not a network
   */
  prepareNetworks(networks: RateLimitNetworks): () => void {
    assertOptionsObject('The argument of setNetworks', networks);
    const { allow, deny } = readOptions(networkOptions, networks, naming);
    const [allowed, denied] = [listOf('allow', allow), listOf('deny', deny)];
    return () => {
      if (allow !== undefined) this.#allowed = allowed;
      if (deny !== undefined) this.#denied = denied;
    };
  }

  /** True if there are networks to allow or to deny. */
  get hasLists(): boolean {
    return this.#allowed !== undefined || this.#denied !== undefined;
  }

  /**
   * Resolves the client's address with the option `clientIp`. Without it, or if it returns no
   * address, returns the address of the adapter.
   *
   * @throws ResolverError if `clientIp` throws, or returns a value that is not a string
   */
  resolve(context: ExecutionContext, transport: Transport): Awaitable<string | undefined> {
    const { clientIp } = this.options;
    if (clientIp === undefined) {
      if (transport.isProxied) this.#warnOfProxies(transport.requestOf(context));
      return transport.addressOf(context);
    }
    const request = transport.stateHolder(context);
    const known = this.#resolved.get(request);
    if (known !== undefined) return known;
    return chain(
      callUserFunction('RateLimitModule', 'clientIp', () => chain(clientIp(context), assertText)),
      (given) => {
        if (given !== undefined && isAddress(given)) {
          this.#resolved.set(request, given);
          return given;
        }
        if (given) this.#warnOfInvalid(given);
        return transport.addressOf(context);
      },
    );
  }

  /** Returns the identity of a client's address. All requests without an address share one. */
  identityFor(request: IdentifiedRequest): Awaitable<string> {
    request.addressIdentity ??= chain(
      request.address ?? this.resolve(request.context, request.transport),
      (address) => this.#identityOf(address, request.context),
    );
    return request.addressIdentity;
  }

  #identityOf(address: string | undefined, context: ExecutionContext): string {
    if (address !== undefined && address !== '')
      return identityOf('ip', clientNetwork(address, this.options.ipv6Prefix));
    this.#warnOfMissing(context, 'all such requests share one count');
    return identityOf('ip', 'unknown');
  }

  /**
   * Returns the list that contains an address; `undefined` for neither. With a `deny` list, an
   * unknown address is denied, since it could be any.
   */
  verdict(
    address: string | undefined,
    context: ExecutionContext,
    transport: Transport,
  ): 'allow' | 'deny' | undefined {
    if (address === undefined || !isAddress(address)) {
      if (this.#denied === undefined || !transport.hasAddresses(context)) return undefined;
      this.#warnOfMissing(context, 'with a "deny" list, all such requests are refused');
      return 'deny';
    }
    if (this.#denied?.has(address) === true) return 'deny';
    return this.#allowed?.has(address) === true ? 'allow' : undefined;
  }

  #warnOfMissing(context: ExecutionContext, consequence: string): void {
    const type = context.getType<string>();
    this.warnings.once(
      `missing ${type}`,
      `A request by "${type}" has no client address: ${consequence}. Give a key or "clientIp"; ` +
        "behind a proxy on a unix socket, set the adapter's trust proxy.",
    );
  }

  #warnOfInvalid(given: string): void {
    this.warnings.once(
      'invalid clientIp',
      `RateLimitModule: the function "clientIp" must return an address, so the adapter's is used; got ${describeValue(given)}.`,
    );
  }

  #warnOfProxies(request: ProxiedRequest | undefined): void {
    if (this.warnings.has('proxy') || !request?.headers?.['x-forwarded-for']) return;
    const { app, ips } = request;
    if (app?.get === undefined) {
      // Fastify lists the connection's address first, then those that trusted proxies have added.
      if (!Array.isArray(ips) || ips.length < 2) this.#warnOfUntrusted();
      return;
    }
    const trusted = app.get('trust proxy');
    if (trusted === true) {
      this.warnings.once(
        'proxy',
        'The adapter trusts every proxy ("trust proxy" is true), so that clients choose their address by a header. Set it to the ' +
          'number of your proxies, or to their addresses.',
      );
    } else if (trusted === false || trusted === undefined) {
      this.#warnOfUntrusted();
    }
  }

  #warnOfUntrusted(): void {
    this.warnings.once(
      'proxy',
      'A request has the header X-Forwarded-For, which the adapter does not trust. Behind a proxy, all clients share the address ' +
        'of that proxy: configure the proxies that the adapter trusts, see docs/behind-a-proxy.md. If there is no proxy, ignore this.',
    );
  }
}

const naming: OptionNaming = {
  owner: 'setNetworks',
  option: (name) => `The option "${name}" of setNetworks`,
};

function listOf(option: string, networks: readonly string[] = []): AddressList | undefined {
  return networks.length === 0 ? undefined : new AddressList(option, networks);
}

function assertText(address: string | null | undefined): string | undefined {
  if (address === undefined || address === null || typeof address === 'string') return address ?? undefined;
  throw new ResolverError(
    `RateLimitModule: the function "clientIp" must return a string; got ${describeValue(address)}.`,
  );
}
