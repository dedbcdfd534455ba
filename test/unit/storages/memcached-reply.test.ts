import { describe, expect, it } from '@jest/globals';
import { readReply } from '../../../lib/storages/memcached/memcached-reply.js';

const found = 'VALUE key 0 5 42\r\nab\r\nc\r\nEND\r\n';

describe('a reply', () => {
  it.each(['END', 'STORED', 'NOT_FOUND', 'VERSION 1.6.18', 'SERVER_ERROR out of memory', ''])(
    '%j is a line',
    (line) => {
      expect(readReply(`${line}\r\n`, 0)).toEqual({ reply: { line }, end: line.length + 2 });
    },
  );

  it('with a value is its line and the number of bytes in it, including line breaks', () => {
    expect(readReply(found, 0)).toEqual({
      reply: { line: 'VALUE key 0 5 42', value: 'ab\r\nc' },
      end: found.length,
    });
  });

  it('can have an empty value', () => {
    expect(readReply('VALUE key 0 0 42\r\n\r\nEND\r\n', 0)?.reply.value).toBe('');
  });

  it('begins at the given position, and ends where the next one begins', () => {
    const input = `STORED\r\n${found}EXISTS\r\n`;
    const second = readReply(input, 8);
    expect(second?.reply.value).toBe('ab\r\nc');
    expect(readReply(input, second?.end ?? 0)?.reply.line).toBe('EXISTS');
    expect(readReply(input, input.length)).toBeUndefined();
  });

  it('is incomplete before its last byte', () => {
    for (let length = 0; length < found.length; length++) {
      expect(readReply(found.slice(0, length), 0)).toBeUndefined();
    }
  });

  it.each([
    ['VALUE key 0 five 42\r\n', 'a malformed VALUE line'],
    ['VALUE key 0 5\r\n', 'a malformed VALUE line'],
    ['VALUE key 0 -5 42\r\n', 'a malformed VALUE line'],
    ['VALUE key 0 4 42\r\nab\r\nc\r\nEND\r\n', 'a value of another length than announced'],
    ['VALUE key 0 1 42\r\na\r\nVALUE key 0 1 42\r\nb\r\nEND\r\n', 'a value of another length than announced'],
    ['x'.repeat(1025), 'a line without end'],
    ['VALUE key 0 16777217 42\r\n', 'a value of 16777217 bytes'],
  ])('%j is never valid', (input, message) => {
    expect(() => readReply(input, 0)).toThrow(new Error(message));
  });
});
