import { describe, expect } from '@jest/globals';
import fc from 'fast-check';
import { main } from '../../lib/cli/main.js';
import { AccessLogFormat } from '../../lib/replay/access-log.format.js';
import { DEFAULT_JSON_FIELDS, JsonFormat } from '../../lib/replay/json.format.js';
import { TestTerminal } from '../support/test-terminal.js';
import { anyText, fuzz, long } from './fuzz.js';

const VALID = '192.0.2.1 - - [10/Oct/2026:13:55:36 +0200] "GET /a HTTP/1.1" 200 5 "-" "agent"';

const pieces = fc.constantFrom(
  ...[
    '192.0.2.1',
    ' ',
    ' - - ',
    '[',
    ']',
    '"',
    '\\',
    '\\"',
    '\\x22',
    '[10/Oct/2026:13:55:36 +0200] ',
    '10/Oct/',
    ':',
  ],
  ...[
    '+0200',
    'GET',
    ' /a',
    ' HTTP/1.1',
    '" 200 5',
    '"-"',
    '\0',
    '\u001b[31m',
    '\u009b',
    '\u202e',
    '\r',
    VALID,
  ],
);
const accessLine = fc
  .array(fc.oneof({ weight: 8, arbitrary: pieces }, { weight: 1, arbitrary: anyText }), { maxLength: 12 })
  .map((texts) => texts.join(''));
/** A valid line with a part replaced. */
const damagedLine = fc
  .tuple(fc.nat(VALID.length), fc.nat(10), fc.oneof(pieces, anyText))
  .map(([at, length, text]) => VALID.slice(0, at) + text + VALID.slice(at + length));
const jsonLine = fc.oneof(
  fc.json(),
  fc.record({ time: fc.anything(), remote_addr: fc.anything() }).map((record) => {
    try {
      return JSON.stringify(record);
    } catch {
      return '{}';
    }
  }),
  anyText,
);
const anyLine = fc.oneof(accessLine, damagedLine, jsonLine, long(accessLine));

/** Characters that no output of a command contains, besides line breaks. */
const UNSEEN = /[^\n\P{Cc}]|[\p{Cf}\p{Cs}\u2028\u2029]/u;

describe('logs of attackers', () => {
  fuzz('are read without an error, as a request with a time or with a reason', anyLine, (line) => {
    for (const format of [new AccessLogFormat(), new JsonFormat(DEFAULT_JSON_FIELDS)]) {
      const entry = format.read(line);
      if (typeof entry === 'string') {
        expect(entry).toMatch(/^[a-z].{5,}$/);
        continue;
      }
      expect(Number.isSafeInteger(entry.time)).toBe(true);
      for (const field of [entry.ip, entry.user, entry.method, entry.path])
        expect(typeof (field ?? '')).toBe('string');
    }
  });

  const logs = fc.tuple(
    fc.array(anyLine, { maxLength: 20 }),
    fc.constantFrom('combined', 'json'),
    fc.boolean(),
    fc.constantFrom([], ['--key', 'user', '--key', 'ip'], ['--path', '/a', '--method', 'GET']),
  );
  fuzz(
    'are replayed with output that has no control or invisible characters, every line counted once',
    logs,
    async ([lines, format, isJson, more]) => {
      const terminal = new TestTerminal({ input: [...lines, '', VALID].join('\n') });
      const args = ['replay', '-', '--limit', '1/minute', '--format', format, ...more];
      const code = await main(isJson ? [...args, '--json'] : args, terminal);
      expect([terminal.output, terminal.errors].filter((text) => UNSEEN.test(text))).toEqual([]);
      expect(code).toBe(terminal.output === '' ? 2 : 0);
      expect(terminal.errors).not.toContain('    at ');
      if (!isJson || code !== 0) return;
      const report = JSON.parse(terminal.output) as { requests: number; lines: Record<string, number> };
      const { read = 0, malformed = 0, outOfOrder = 0, withoutKey = 0, notSelected = 0 } = report.lines;
      expect(read).toBe(report.requests + malformed + outOfOrder + withoutKey + notSelected);
    },
    150,
  );
});
