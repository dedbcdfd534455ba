import { isIP, isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Bits of an IPv6 address that identify a client: the network that a provider assigns to one subscriber. */
export const DEFAULT_IPV6_PREFIX = 64;

const BITS_PER_PART = 16;

/** Prefix of IPv4 addresses on a socket that accepts both protocols. */
const IPV4_MAPPED = '::ffff:';

/** An address as some proxies forward it: with the client's port, and in brackets if it is an IPv6 address. */
const FORWARDED = /^(?:\[(.+)\]|(\d+(?:\.\d+){3}))(?::\d+)?$/;

/**
 * Returns the address without port, brackets and zone, and the IPv4 address that an IPv6 address
 * carries: `::ffff:203.0.113.7`, `64:ff9b::cb00:7107` and `2002:cb00:7107::1` become `203.0.113.7`.
 * Returns any other text unchanged.
 */
export function bareAddress(address: string): string {
  const bare = unwrapped(readAddress(address));
  return typeof bare === 'string' ? bare : textOf(bare);
}

/** Returns true if a text is an address, in any form that {@link bareAddress} reads. */
export function isAddress(text: string): boolean {
  return isIP(bareAddress(text)) !== 0;
}

/** Returns the addresses that a list may name a client by: its bare address, and the IPv6 address that carries an IPv4 one. */
export function listedAddresses(address: string): string[] {
  const read = readAddress(address);
  const bare = bareAddress(address);
  return typeof read === 'string' || read.isIPv4MappedAddress() || bare === textOf(read)
    ? [bare]
    : [bare, textOf(read)];
}

/**
 * Returns the part of an address that a client cannot choose: an IPv4 address, or the network of an
 * IPv6 address (`2001:db8:1:2::/64`). Returns any other text unchanged.
 *
 * @param ipv6Prefix bits of the network, 32 to 128
 */
export function clientNetwork(address: string, ipv6Prefix = DEFAULT_IPV6_PREFIX): string {
  const bare = unwrapped(readAddress(address));
  if (typeof bare === 'string') return bare;
  const named = bare.parts.slice(0, Math.ceil(ipv6Prefix / BITS_PER_PART));
  const network = named.map((part, index) => {
    const open = Math.max(0, (index + 1) * BITS_PER_PART - ipv6Prefix);
    return ((part >> open) << open).toString(16);
  });
  return `${network.join(':')}${named.length < bare.parts.length ? '::' : ''}/${ipv6Prefix}`;
}

/** Parses an IPv6 address; returns any other text, without the port of an IPv4 address. */
function readAddress(address: string): string | ipaddr.IPv6 {
  if (!address.includes(':')) return address;
  const mapped = address.startsWith(IPV4_MAPPED) ? address.slice(IPV4_MAPPED.length) : '';
  if (isIPv4(mapped)) return mapped; // by far the most frequent form, and it needs no parsing
  const [, ipv6 = address, ipv4] = FORWARDED.exec(address) ?? [];
  if (ipv4 !== undefined) return ipv4;
  if (!isIPv6(ipv6)) return address;
  return ipaddr.IPv6.parse(ipv6.replace(/%.*$/, '')); // the parser rejects some zones
}

function unwrapped(address: string | ipaddr.IPv6): string | ipaddr.IPv6 {
  return typeof address === 'string' ? address : (ipv4In(address) ?? address);
}

/** Prefixes of addresses whose last 32 bits are an IPv4 address. */
const LAST_IN: readonly (readonly number[])[] = [
  [0, 0, 0, 0, 0, 0xffff],
  [0, 0, 0, 0, 0xffff, 0],
  [0x64, 0xff9b, 0, 0, 0, 0],
  [0x64, 0xff9b, 1],
];

/**
 * Returns the IPv4 address that an IPv6 address carries, of a host that has no other: mapped, translated (RFC 6052, 7915, 8215)
 * or tunnelled (6to4, Teredo). Otherwise all of a translator's clients would share a network, and one host could choose from many.
 */
function ipv4In(address: ipaddr.IPv6): string | undefined {
  const { parts } = address;
  const begins = (...prefix: number[]): boolean => prefix.every((part, index) => part === parts[index]);
  const bytes = (from: number, to = from + 4): number[] => address.toByteArray().slice(from, to);
  if (begins(0x2002)) return bytes(2).join('.');
  if (begins(0x2001, 0))
    return bytes(12)
      .map((byte) => byte ^ 0xff)
      .join('.');
  if (begins(0x64, 0xff9b, 1) && bytes(12).every((byte) => byte === 0))
    return [...bytes(6, 8), ...bytes(9, 11)].join('.');
  return LAST_IN.some((prefix) => begins(...prefix)) ? bytes(12).join('.') : undefined;
}

function textOf({ parts }: ipaddr.IPv6): string {
  return parts.map((part) => part.toString(16)).join(':');
}
