import { createWriteStream } from 'node:fs';
import { once } from 'node:events';

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const START = Date.UTC(2026, 9, 5);
const PATHS = ['/', '/api/orders', '/api/orders/42?expand=items', '/assets/app.js', '/login'];
const AGENT =
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0 Safari/537.36';

/**
 * The requests of a log in the order of its lines: a day of requests of some clients, of which a few send most. Every hundredth
 * line is up to 20 seconds late. The same arguments return the same requests.
 */
export function* loggedRequests(lines, clients) {
  const random = randomNumbers(lines);
  for (let index = 0; index < lines; index++) {
    const delay = index % 100 === 0 ? Math.floor(random() * 20) : 0;
    const time = START + Math.floor((86_400 * index) / lines - delay) * 1000;
    const client = Math.floor(clients * random() ** 4);
    const target = PATHS[Math.floor(PATHS.length * random())];
    yield { time, client, target };
  }
}

/** Writes requests as an access log in the format "combined". */
export async function writeAccessLog(path, requests) {
  const file = createWriteStream(path);
  let block = [];
  let bytes = 0;
  for (const { time, client, target } of requests) {
    const address = `${10 + (client >> 16)}.${(client >> 8) & 255}.${client & 255}.${client % 251}`;
    bytes = (bytes + 1) % 5000;
    block.push(
      `${address} - - [${clfTime(new Date(time))}] "GET ${target} HTTP/1.1" 200 ${bytes} "https://example.com/" "${AGENT}"\n`,
    );
    if (block.length < 5000) continue;
    if (!file.write(block.join(''))) await once(file, 'drain');
    block = [];
  }
  file.end(block.join(''));
  await once(file, 'close');
}

function clfTime(time) {
  const iso = time.toISOString();
  return `${iso.slice(8, 10)}/${MONTHS[time.getUTCMonth()]}/${iso.slice(0, 4)}:${iso.slice(11, 19)} +0000`;
}

/** Numbers from 0 to 1 by the generator "mulberry32". */
function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
