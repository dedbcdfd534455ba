/**
 * Draws, for docs/strategies.md, what each strategy makes of the same traffic: runs the strategies of the built package on a
 * clock of its own, and writes an SVG each. The same package always makes the same pictures.
 *
 * `node scripts/draw-strategies.mjs [folder]`; the folder is docs/images unless another is named.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  FixedWindowElasticExpiryRateLimiter,
  FixedWindowRateLimiter,
  MemoryStorage,
  MovingWindowRateLimiter,
  SlidingWindowCounterRateLimiter,
  TokenBucketRateLimiter,
} from 'nestjs-limits';
import { ManualClock } from 'nestjs-limits/testing';
import { frame } from './picture.mjs';

const LIMITERS = {
  'fixed-window': FixedWindowRateLimiter,
  'fixed-window-elastic-expiry': FixedWindowElasticExpiryRateLimiter,
  'moving-window': MovingWindowRateLimiter,
  'sliding-window-counter': SlidingWindowCounterRateLimiter,
  'token-bucket': TokenBucketRateLimiter,
};
/** Strategies whose windows have a beginning and an end that hold for all hits in them. */
const WITH_WINDOWS = ['fixed-window', 'fixed-window-elastic-expiry'];

const AMOUNT = 10;
const WINDOW = 60;
/** Seconds that a picture shows. */
const LENGTH = 210;
/** One hit at a time, with a pause of more than a window; and a burst just before the first window ends, and just after. */
const TRICKLE = [0, 18, 36, 54, 72, 90, 108, 180, 198];
const BURSTS = [58, 62];
const BURST = 10;

/** Seconds at which there are hits, and how many. */
const TRAFFIC = [
  ...TRICKLE.map((second) => ({ second, hits: 1 })),
  ...BURSTS.map((second) => ({ second, hits: BURST })),
].sort((one, other) => one.second - other.second);

/** What a strategy makes of the traffic: per instant how many hits were admitted; how many units were left; its windows. */
function run(strategy) {
  const clock = new ManualClock();
  const start = clock.now();
  const limiter = new LIMITERS[strategy](new MemoryStorage({ clock }));
  const limit = `${AMOUNT}/minute`;
  const instants = [];
  const left = [];
  const windows = [];
  for (let tenth = 0; tenth <= LENGTH * 10; tenth++) {
    clock.set(start + tenth * 100);
    const second = tenth / 10;
    const { hits = 0 } = TRAFFIC.find((instant) => instant.second === second) ?? {};
    let admitted = 0;
    for (let hit = 0; hit < hits; hit++) if (limiter.hit(limit, 'client')) admitted++;
    const { remaining, resetTime } = limiter.getWindowStats(limit, 'client');
    if (left.at(-1)?.remaining !== remaining) left.push({ second, remaining });
    if (hits === 0) continue;
    instants.push({ second, hits, admitted });
    const end = (resetTime - start) / 1000;
    const last = windows.at(-1);
    if (last !== undefined && second < last.end) last.end = end;
    else windows.push({ start: second, end });
  }
  return { instants, left, windows: WITH_WINDOWS.includes(strategy) ? windows : [] };
}

/** The span of one window in which most hits were admitted, the first of several. */
function worstSpan(instants) {
  const spans = instants.map(({ second: start }) => ({
    start,
    admitted: instants
      .filter(({ second }) => second >= start && second < start + WINDOW)
      .reduce((sum, { admitted }) => sum + admitted, 0),
  }));
  return spans.reduce((worst, span) => (span.admitted > worst.admitted ? span : worst));
}

const [LEFT, SCALE] = [44, 3.1];
/** Heights: where hits stand, from there down; the band of windows; the units left; the seconds. */
const [HITS, BAND, LEVEL, AXIS] = [48, 158, 172, 236];
const [STEP, LEVEL_HEIGHT] = [10, 56];
const WIDTH = LEFT + LENGTH * SCALE + 24;
const HEIGHT = 300;

const x = (second) => round(LEFT + second * SCALE);
const round = (number) => Math.round(number * 10) / 10;

function draw(strategy) {
  const { instants, left, windows } = run(strategy);
  const span = worstSpan(instants);
  const [all, admitted] = [sum(instants, 'hits'), sum(instants, 'admitted')];
  const told =
    `Of ${all} hits ${admitted} are admitted and ${all - admitted} refused; ` +
    `${span.admitted} of them in the worst minute, from second ${span.start} on.`;
  return frame({
    width: WIDTH,
    height: HEIGHT,
    title: `${strategy}, ${AMOUNT} per minute`,
    heading: strategy,
    description: told,
    style: STYLE,
    parts: [
      legend(windows.length > 0),
      ...windows.map(drawWindow),
      ...instants.flatMap(drawInstant),
      drawLevel(left),
      drawAxis(),
      drawSpan(span),
    ],
  });
}

const STYLE = {
  light: `.yes{fill:#1a7f37}.no{stroke:#cf222e;stroke-width:2}.window{fill:#0969da;opacity:.3}
.level{fill:#0969da;fill-opacity:.15;stroke:#0969da;stroke-width:1.5}.line{stroke:#818b98;fill:none}.span{stroke:#9a6700;stroke-width:2;fill:none}`,
  dark: `.yes{fill:#3fb950}.no{stroke:#f85149}
.window{fill:#4493f8;opacity:.45}.level{fill:#4493f8;fill-opacity:.25;stroke:#4493f8}.line{stroke:#9198a1}.span{stroke:#d29922}`,
};

function legend(hasWindows) {
  const at = round(WIDTH) - 232;
  return [
    `<circle class="yes" cx="${at}" cy="22" r="4"/><text x="${at + 9}" y="26">admitted</text>`,
    `${cross(at + 78, 22)}<text x="${at + 87}" y="26">refused</text>`,
    `<rect class="level" x="${at + 146}" y="17" width="10" height="10"/><text x="${at + 161}" y="26">units left</text>`,
    ...(hasWindows
      ? [
          `<rect class="window" x="${at - 76}" y="18" width="14" height="8" rx="2"/><text x="${at - 57}" y="26">window</text>`,
        ]
      : []),
  ].join('\n');
}

/** The hits of one instant above one another: those admitted below, since they came first. */
function drawInstant({ second, hits, admitted }) {
  const at = x(second);
  return Array.from({ length: hits }, (_, hit) => {
    const height = HITS + (BURST - 1 - hit) * STEP;
    return hit < admitted ? `<circle class="yes" cx="${at}" cy="${height}" r="4"/>` : cross(at, height);
  }).join('');
}

function cross(at, height) {
  return `<path class="no" d="M${round(at - 3)} ${height - 3}l6 6m0-6l-6 6"/>`;
}

function drawWindow({ start, end }) {
  const width = round((Math.min(end, LENGTH) - start) * SCALE);
  return `<rect class="window" x="${x(start)}" y="${BAND - 6}" width="${width}" height="8" rx="2"/>`;
}

function drawLevel(left) {
  const y = (remaining) => round(LEVEL + LEVEL_HEIGHT * (1 - remaining / AMOUNT));
  const steps = left.map(({ second, remaining }) => `H${x(second)}V${y(remaining)}`).join('');
  return [
    `<path class="level" d="M${x(0)} ${y(0)}${steps}H${x(LENGTH)}V${y(0)}z"/>`,
    `<text class="end" x="${LEFT - 8}" y="${LEVEL + 8}">${AMOUNT}</text><text class="end" x="${LEFT - 8}" y="${LEVEL + LEVEL_HEIGHT}">0</text>`,
  ].join('\n');
}

function drawAxis() {
  const seconds = Array.from({ length: Math.floor(LENGTH / 30) + 1 }, (_, index) => index * 30);
  return [
    `<path class="line" d="M${x(0)} ${AXIS}H${x(LENGTH)}${seconds.map((second) => `M${x(second)} ${AXIS}v5`).join('')}"/>`,
    ...seconds.map((second) => `<text class="mid" x="${x(second)}" y="${AXIS + 18}">${second} s</text>`),
  ].join('\n');
}

function drawSpan({ start, admitted }) {
  const [from, to, height] = [x(start), x(start + WINDOW), AXIS + 32];
  return [
    `<path class="span" d="M${from} ${height - 5}v5H${to}v-5"/>`,
    `<text class="mid" x="${round((from + to) / 2)}" y="${height + 17}">worst minute: ${admitted} admitted</text>`,
  ].join('\n');
}

function sum(instants, what) {
  return instants.reduce((total, instant) => total + instant[what], 0);
}

/** The pictures, by strategy. */
export function drawStrategies() {
  return Object.fromEntries(Object.keys(LIMITERS).map((strategy) => [strategy, draw(strategy)]));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = process.argv[2] ?? fileURLToPath(new URL('../docs/images', import.meta.url));
  await mkdir(folder, { recursive: true });
  for (const [strategy, picture] of Object.entries(drawStrategies()))
    await writeFile(join(folder, `${strategy}.svg`), picture);
}
