import { isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Bits of an IPv6 address that name a client: what a provider gives to one subscriber. */
export const DEFAULT_IPV6_PREFIX = 64;

const BITS_PER_PART = 16;

/** How a server that listens on both protocols sees a client of IPv4. */
const IPV4_MAPPED = '::ffff:';

/** An address as some proxies forward it: with the client's port, and in brackets if it is of IPv6. */
const FORWARDED = /^(?:\[(.+)\]|(\d+(?:\.\d+){3}))(?::\d+)?$/;

/**
 * The address without what does not belong to it: a port, brackets, a zone, the mapping of IPv4 into IPv6
 * (`::ffff:203.0.113.7` is `203.0.113.7`). What is no address is returned as it is.
 */
export function bareAddress(address: string): string {
  const read = readAddress(address);
  return typeof read === 'string' ? read : read.parts.map((part) => part.toString(16)).join(':');
}

/**
 * The part of an address that a client cannot choose: an IPv4 address as it is, of an IPv6 address its network
 * (`2001:db8:1:2::/64`). What is no address is returned as it is.
 *
 * @param ipv6Prefix bits that name the network, 32 to 128
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

/** An IPv6 address in its parts; of IPv4, and what is no address, the text. */
function readAddress(address: string): string | ipaddr.IPv6 {
  if (!address.includes(':')) return address;
  const mapped = address.startsWith(IPV4_MAPPED) ? address.slice(IPV4_MAPPED.length) : '';
  if (isIPv4(mapped)) return mapped; // by far the most frequent form, told without parsing
  const [, ipv6 = address, ipv4] = FORWARDED.exec(address) ?? [];
  if (ipv4 !== undefined) return ipv4;
  if (!isIPv6(ipv6)) return address;
  const parsed = ipaddr.IPv6.parse(ipv6.replace(/%.*$/, '')); // it cannot read every zone
  return parsed.isIPv4MappedAddress() ? parsed.toIPv4Address().toString() : parsed;
}
