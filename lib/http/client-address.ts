import { isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Bits of an IPv6 address that identify a client: the network that a provider assigns to one subscriber. */
export const DEFAULT_IPV6_PREFIX = 64;

const BITS_PER_PART = 16;

/** Prefix of IPv4 addresses on a socket that accepts both protocols. */
const IPV4_MAPPED = '::ffff:';

/** An address as some proxies forward it: with the client's port, and in brackets if it is an IPv6 address. */
const FORWARDED = /^(?:\[(.+)\]|(\d+(?:\.\d+){3}))(?::\d+)?$/;

/**
 * Returns the address without port, brackets, zone and the mapping of IPv4 into IPv6
 * (`::ffff:203.0.113.7` becomes `203.0.113.7`). Returns any other text unchanged.
 */
export function bareAddress(address: string): string {
  const read = readAddress(address);
  return typeof read === 'string' ? read : read.parts.map((part) => part.toString(16)).join(':');
}

/**
 * Returns the part of an address that a client cannot choose: an IPv4 address, or the network of an
 * IPv6 address (`2001:db8:1:2::/64`). Returns any other text unchanged.
 *
 * @param ipv6Prefix bits of the network, 32 to 128
 */
export function clientNetwork(address: string, ipv6Prefix = DEFAULT_IPV6_PREFIX): string {
  const read = readAddress(address);
  if (typeof read === 'string') return read;
  const named = read.parts.slice(0, Math.ceil(ipv6Prefix / BITS_PER_PART));
  const network = named.map((part, index) => {
    const open = Math.max(0, (index + 1) * BITS_PER_PART - ipv6Prefix);
    return ((part >> open) << open).toString(16);
  });
  return `${network.join(':')}${named.length < read.parts.length ? '::' : ''}/${ipv6Prefix}`;
}

/** Parses an IPv6 address. Returns the text of an IPv4 address, and of anything else. */
function readAddress(address: string): string | ipaddr.IPv6 {
  if (!address.includes(':')) return address;
  const mapped = address.startsWith(IPV4_MAPPED) ? address.slice(IPV4_MAPPED.length) : '';
  if (isIPv4(mapped)) return mapped; // by far the most frequent form, recognized without parsing
  const [, ipv6 = address, ipv4] = FORWARDED.exec(address) ?? [];
  if (ipv4 !== undefined) return ipv4;
  if (!isIPv6(ipv6)) return address;
  const parsed = ipaddr.IPv6.parse(ipv6.replace(/%.*$/, '')); // it does not parse every zone
  return parsed.isIPv4MappedAddress() ? parsed.toIPv4Address().toString() : parsed;
}
