import { BlockList, isIP } from 'node:net';
import { ConfigurationError } from '../common/errors.js';
import { describeValue } from '../common/describe.js';
import { listedAddresses } from './client-address.js';

/** A list of addresses and networks. An IPv4 address also matches in the IPv6 forms that carry it. */
export class AddressList {
  readonly #list = new BlockList();

  /**
   * @param option names the list in errors
   * @param networks such as `'10.0.0.0/8'`, `'2001:db8::/32'` or `'203.0.113.7'`
   * @throws ConfigurationError naming the entry that is not an address or network
   */
  constructor(option: string, networks: readonly string[]) {
    for (const network of networks) {
      try {
        this.#add(network);
      } catch (cause) {
        throw new ConfigurationError(
          `The option "${option}" lists networks such as "10.0.0.0/8" or "2001:db8::/32"; got ${describeValue(network)}.`,
          { cause },
        );
      }
    }
  }

  /** @param address as a socket or a proxy gives it; a text that is not an address is in no list */
  has(address: string): boolean {
    return listedAddresses(address).some((listed) => {
      const family = isIP(listed);
      return family !== 0 && this.#list.check(listed, family === 4 ? 'ipv4' : 'ipv6');
    });
  }

  #add(network: string): void {
    const [, address = '', prefix] = /^([^/]+)(?:\/(\d+))?$/.exec(network) ?? [];
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
    if (prefix === undefined) this.#list.addAddress(address, family);
    else this.#list.addSubnet(address, Number(prefix), family);
  }
}
