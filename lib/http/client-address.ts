import ipaddr from 'ipaddr.js';

/** Bits of an IPv6 address that name a client: what a provider gives to one subscriber. */
const IPV6_PREFIX = 64;

/** An address as some proxies forward it: with the client's port, and in brackets if it is of IPv6. */
const FORWARDED = /^(?:\[(.+)\]|(\d+(?:\.\d+){3}))(?::\d+)?$/;

/**
 * The part of an address that a client cannot choose: an IPv4 address as it is, also when mapped into IPv6
 * (`::ffff:203.0.113.7` is `203.0.113.7`); of an IPv6 address its network (`2001:db8:1:2::/64`). A port is no
 * part of it. What is no address is returned as it is.
 */
export function clientNetwork(address: string): string {
  if (!address.includes(':')) return address;
  const [, ipv6 = address, ipv4] = FORWARDED.exec(address) ?? [];
  if (ipv4 !== undefined) return ipv4;
  if (!ipaddr.IPv6.isValid(ipv6)) return address;
  const parsed = ipaddr.IPv6.parse(ipv6);
  if (parsed.isIPv4MappedAddress()) return parsed.toIPv4Address().toString();
  const network = parsed.parts.slice(0, IPV6_PREFIX / 16).map((part) => part.toString(16));
  return `${network.join(':')}::/${IPV6_PREFIX}`;
}
