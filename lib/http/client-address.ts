import ipaddr from 'ipaddr.js';

/** Bits of an IPv6 address that name a client: what a provider gives to one subscriber. */
const IPV6_PREFIX = 64;

/**
 * The part of an address that a client cannot choose: an IPv4 address as it is, also when mapped into IPv6
 * (`::ffff:203.0.113.7` is `203.0.113.7`); of an IPv6 address its network (`2001:db8:1:2::/64`). What is no address is
 * returned as it is.
 */
export function clientNetwork(address: string): string {
  if (!address.includes(':') || !ipaddr.IPv6.isValid(address)) return address;
  const parsed = ipaddr.IPv6.parse(address);
  if (parsed.isIPv4MappedAddress()) return parsed.toIPv4Address().toString();
  const network = parsed.parts.slice(0, IPV6_PREFIX / 16).map((part) => part.toString(16));
  return `${network.join(':')}::/${IPV6_PREFIX}`;
}
