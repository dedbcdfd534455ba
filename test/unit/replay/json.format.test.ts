import { describe, expect, it } from '@jest/globals';
import { DEFAULT_JSON_FIELDS, JsonFormat } from '../../../lib/replay/json.format.js';
import { fieldKey } from '../../../lib/replay/request-selection.js';

const NGINX = {
  time: '2026-10-10T13:55:36+02:00',
  remote_addr: '203.0.113.7',
  remote_user: 'ada',
  request_method: 'GET',
  request_uri: '/api?a=1',
};

function read(record: unknown, fields = {}) {
  const line = typeof record === 'string' ? record : JSON.stringify(record);
  return new JsonFormat({ ...DEFAULT_JSON_FIELDS, ...fields }).read(line);
}

describe('a JSON line of a log', () => {
  it("has the fields of nginx's variables", () => {
    expect(read(NGINX)).toEqual({
      time: Date.UTC(2026, 9, 10, 11, 55, 36),
      ip: '203.0.113.7',
      user: 'ada',
      method: 'GET',
      path: '/api?a=1',
      record: NGINX,
    });
  });

  it('has other fields, nested ones too, if they are named', () => {
    const record = { at: 1_760_000_000_000, req: { ip: '::1', url: '/' }, 'user.name': 'not nested' };
    expect(read(record, { time: 'at', ip: 'req.ip', path: 'req.url', user: 'user.name' })).toMatchObject({
      time: 1_760_000_000_000,
      ip: '::1',
      path: '/',
      user: undefined,
    });
  });

  it.each([
    [1_760_000_000, 1_760_000_000_000],
    [1_760_000_000.4567, 1_760_000_000_456],
    ['1760000000.123', 1_760_000_000_123],
    [1_760_000_000_999, 1_760_000_000_999],
    ['2025-10-09T08:53:20Z', 1_760_000_000_000],
    ['2025-10-09 08:53:20.5+00:00', 1_760_000_000_500],
    ['09/Oct/2025:08:53:20 +0000', 1_760_000_000_000],
  ])('may have the time %j', (time, expected) => {
    expect(read({ time })).toMatchObject({ time: expected });
  });

  it('has any field with a text, a number or a boolean as a key', () => {
    const key = (name: string) => {
      const entry = read({
        time: 1,
        tenant: { id: 7, open: true, name: '', none: null, dash: '-', list: [] },
      });
      return typeof entry === 'string' ? entry : fieldKey(name)(entry);
    };
    const names = [
      'tenant.id',
      'tenant.open',
      'tenant.name',
      'tenant.none',
      'tenant.dash',
      'tenant.list',
      'tenant',
    ];
    expect(names.map(key)).toEqual(['7', 'true', undefined, undefined, undefined, undefined, undefined]);
    expect(['constructor.name', 'tenant.id.length', '__proto__.toString'].map(key)).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  it.each([
    ['{', 'not JSON'],
    ['7', 'not a JSON object'],
    ['[]', 'not a JSON object'],
    ['null', 'not a JSON object'],
    ['{}', 'no field "time"'],
    ...['2026-10-10', '2026-10-10T13:55:36', 'today', '', null, true, -1, 1e300, '9'.repeat(16)].map(
      (time) => [
        JSON.stringify({ time }),
        'the field "time" is neither epoch seconds or ms nor a date and time with a time zone',
      ],
    ),
  ])('is malformed: %s', (line, reason) => {
    expect(read(line)).toBe(reason);
  });
});
