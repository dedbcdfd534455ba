import { describe, expect, it } from '@jest/globals';
import { AccessLogFormat } from '../../../lib/replay/access-log.format.js';

const COMBINED =
  '203.0.113.7 - ada [10/Oct/2026:13:55:36 +0200] "GET /api/a?b=1 HTTP/1.1" 200 512 "https://example.com/" "curl/8"';

function read(line: string) {
  const entry = new AccessLogFormat().read(line);
  if (typeof entry === 'string') return entry;
  const { time, ip, user, method, path } = entry;
  return { time: new Date(time).toISOString(), ip, user, method, path };
}

describe('a line of an access log', () => {
  it.each([
    ['combined', COMBINED],
    ['common', COMBINED.replace(/ "https.*/, '')],
    ['with a carriage return', `${COMBINED}\r`],
  ])('has a time, an address, a user, a method and a path: %s', (_format, line) => {
    expect(read(line)).toEqual({
      time: '2026-10-10T11:55:36.000Z',
      ip: '203.0.113.7',
      user: 'ada',
      method: 'GET',
      path: '/api/a?b=1',
    });
  });

  it('has no user where the server writes "-"', () => {
    expect(read(COMBINED.replace('ada', '-'))).toMatchObject({ user: undefined });
  });

  it.each([
    ['10/Oct/2026:13:55:36 -0730', '2026-10-10T21:25:36.000Z'],
    ['29/Feb/2028:00:00:00 +0000', '2028-02-29T00:00:00.000Z'],
    ['30/Jun/2026:23:59:60 +0000', '2026-07-01T00:00:00.000Z'],
  ])('may be written at %s', (time, iso) => {
    expect(read(COMBINED.replace('10/Oct/2026:13:55:36 +0200', time))).toMatchObject({ time: iso });
  });

  it('cannot have its time forged by the name of a user, or its address by the path', () => {
    const user = 'eve [01/Jan/2020:00:00:00 +0000] \\"GET / HTTP/1.1\\" 200';
    const line = COMBINED.replace('ada', user).replace('/api/a?b=1', '/\\" 9.9.9.9 - - x');
    expect(read(line)).toEqual({
      time: '2026-10-10T11:55:36.000Z',
      ip: '203.0.113.7',
      user,
      method: 'GET',
      path: '/\\" 9.9.9.9 - - x',
    });
  });

  it('may have a path with spaces, and no protocol', () => {
    expect(read(COMBINED.replace('/api/a?b=1', '/a b'))).toMatchObject({ path: '/a b' });
    expect(read(COMBINED.replace('GET /api/a?b=1 HTTP/1.1', 'GET /a'))).toMatchObject({ path: '/a' });
  });

  it.each([
    ['', 'no request in quotes'],
    ['one two three', 'no request in quotes'],
    [COMBINED.replace('[', ''), 'no time in brackets before the request'],
    [COMBINED.slice(25), 'no time in brackets before the request'],
    [COMBINED.replace('10/Oct', '31/Sep'), 'the time is not one such as 10/Oct/2026:13:55:36 +0200'],
    [COMBINED.replace('Oct', 'Okt'), 'the time is not one such as 10/Oct/2026:13:55:36 +0200'],
    [COMBINED.replace('13:55', '24:55'), 'the time is not one such as 10/Oct/2026:13:55:36 +0200'],
    [COMBINED.replace('Oct', 'anF'), 'the time is not one such as 10/Oct/2026:13:55:36 +0200'],
    [COMBINED.replace('+0200', '*0200'), 'the time is not one such as 10/Oct/2026:13:55:36 +0200'],
    [COMBINED.replace('13:55', '13:5x'), 'the time is not one such as 10/Oct/2026:13:55:36 +0200'],
    [COMBINED.replace('203.0.113.7 - ada', '203.0.113.7 -'), 'no address, identity and user before the time'],
    [COMBINED.replace('203.0.113.7', ''), 'no address, identity and user before the time'],
    [COMBINED.slice(0, 70), 'the request has no closing quote'],
    [COMBINED.replace('" 200', '" -'), 'no status after the request'],
    [
      COMBINED.replace('GET /api/a?b=1 HTTP/1.1', '\\x16\\x03\\x01'),
      'the request does not start with a method and a path',
    ],
    [COMBINED.replace('GET /api', 'get /api'), 'the request does not start with a method and a path'],
    [COMBINED.replace('GET /api/a?b=1 HTTP/1.1', ''), 'the request does not start with a method and a path'],
  ])('is malformed: %j', (line, reason) => {
    expect(read(line)).toBe(reason);
  });
});
