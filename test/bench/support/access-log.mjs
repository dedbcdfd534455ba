import { createWriteStream } from 'node:fs';
import { once } from 'node:events';

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const START = Date.UTC(2026, 9, 5);
const PATHS = ['/', '/api/orders', '/api/orders/42?expand=items', '/assets/app.js', '/login'];
const AGENT =
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0 Safari/537.36';

/**
 * Writes an access log in the format "combined": a day of requests of some clients, of which a few
 * send most. Every hundredth line is up to 20 seconds late. The same arguments write the same file.
 */
export async function writeAccessLog(path, lines, clients) {
  const file = createWriteStream(path);
  const random = randomNumbers(lines);
  let block = [];
  for (let index = 0; index < lines; index++) {
    const delay = index % 100 === 0 ? Math.floor(random() * 20) : 0;
    const time = new Date(START + Math.floor((86_400 * index) / lines - delay) * 1000);
    const client = Math.floor(clients * random() ** 4);
    const address = `${10 + (client >> 16)}.${(client >> 8) & 255}.${client & 255}.${client % 251}`;
    const target = PATHS[Math.floor(PATHS.length * random())];
    block.push(
      `${address} - - [${clfTime(time)}] "GET ${target} HTTP/1.1" 200 ${index % 5000} "https://example.com/" "${AGENT}"\n`,
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
