/**
 * Draws the diagrams of the documentation: the path of a request, the two phases, how limits of several levels combine, and the
 * circuit. `node scripts/draw-diagrams.mjs [folder]`; the folder is docs/images unless another is named.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { frame } from './picture.mjs';

const STYLE = {
  light: `.small{font-size:11px;fill:#59636e}.bold{font-weight:600}.code{font-family:ui-monospace,monospace;font-size:11px}
.box{fill:#f6f8fa;stroke:#d1d9e0}.ours{fill:#ddf4ff;stroke:#0969da}.good{fill:#dafbe1;stroke:#1a7f37}.bad{fill:#ffebe9;stroke:#cf222e}
.line{stroke:#59636e;stroke-width:1.5;fill:none}.tip{fill:#59636e}.gone{text-decoration:line-through;fill:#818b98}`,
  dark: `.small{fill:#9198a1}.box{fill:#151b23;stroke:#3d444d}.ours{fill:#121d2f;stroke:#4493f8}.good{fill:#12261e;stroke:#3fb950}
.bad{fill:#25171c;stroke:#f85149}.line{stroke:#9198a1}.tip{fill:#9198a1}.gone{fill:#656c76}`,
};

const WIDTH = 760;

/** A box with lines of text in its middle, the first of them bold. */
function box(kind, x, y, width, height, ...lines) {
  const first = y + height / 2 - (lines.length - 1) * 7.5 + 4;
  const texts = lines.map((line, index) => {
    const style = index === 0 ? 'mid bold' : 'mid small';
    return `<text class="${style}" x="${x + width / 2}" y="${first + index * 15}">${line}</text>`;
  });
  return [
    `<rect class="${kind}" x="${x}" y="${y}" width="${width}" height="${height}" rx="6"/>`,
    ...texts,
  ].join('');
}

function text(style, x, y, line) {
  return `<text class="${style}" x="${x}" y="${y}">${line}</text>`;
}

/** A straight arrow, horizontal or vertical. */
function arrow(x1, y1, x2, y2) {
  const angle = x1 === x2 ? (y2 > y1 ? 90 : -90) : x2 > x1 ? 0 : 180;
  return (
    `<path class="line" d="M${x1} ${y1}L${x2} ${y2}"/>` +
    `<path class="tip" d="M0 0l-8-4v8z" transform="translate(${x2} ${y2}) rotate(${angle})"/>`
  );
}

function requestPath() {
  const [top, height, width, gap] = [66, 62, 128, 18];
  const at = (index) => 16 + index * (width + gap);
  const stages = [
    ['box', 'Adapter', 'client address,', 'trust proxy'],
    ['ours', 'Rate-limit guard', 'limits before', 'authentication'],
    ['box', 'Your guards', 'set request.user', 'or answer 401'],
    ['ours', 'RateLimitGuard', 'limits with phase:', "'afterAuth'"],
    ['box', 'Handler', 'interceptors, pipes,', 'response'],
  ];
  const middle = top + height / 2;
  return frame({
    width: WIDTH,
    height: 262,
    title: 'The path of a request',
    description:
      'The adapter finds the client address. The rate-limit guard decides the limits before authentication in one call of the store. ' +
      'Your guards authenticate. RateLimitGuard decides the limits after authentication in one call. The handler runs. After the response, ' +
      'limits by outcome and cost are settled, and slots are released.',
    style: STYLE,
    parts: [
      ...stages.map(([kind, ...lines], index) => box(kind, at(index), top, width, height, ...lines)),
      ...stages.slice(1).map((_, index) => arrow(at(index) + width, middle, at(index + 1), middle)),
      ...[1, 3].flatMap((index) => [
        arrow(at(index) + 40, top + height, at(index) + 40, 184),
        arrow(at(index) + 88, 184, at(index) + 88, top + height),
        text('small', at(index) + 96, 158, 'decision'),
      ]),
      ...[1, 3].map((index) => text('small mid', at(index) + 64, 56, 'refused: 429')),
      arrow(at(4) + 64, top + height, at(4) + 64, 184),
      text('small end', at(4) + 58, 151, 'after the'),
      text('small end', at(4) + 58, 165, 'response'),
      box(
        'good',
        16,
        184,
        WIDTH - 32,
        56,
        'Store',
        'one call per phase: all limits of it are taken, or none · afterwards: count and actualCost are settled, slots released',
      ),
    ],
  });
}

function phases() {
  const columns = [150, 322, 468, 634];
  const heads = ['arrives', 'your guard', 'afterAuth', 'response'];
  const rows = [
    [
      'Wrong password',
      ['ours', 'address −1', 'login −1'],
      ['bad', '401', ''],
      undefined,
      ['good', 'login: counted', 'as a failure'],
    ],
    [
      'Right password',
      ['ours', 'address −1', 'login −1'],
      ['good', 'passes', 'request.user'],
      ['ours', 'user −1', ''],
      ['good', 'login +1', 'refunded'],
    ],
    ['Login exhausted', ['bad', '429', 'nothing taken'], undefined, undefined, undefined],
  ];
  return frame({
    width: WIDTH,
    height: 330,
    title: 'Before and after authentication',
    description:
      'Limits named address and login count when a request arrives. With a wrong password, the guard answers 401 and the login limit keeps its ' +
      'unit. With the right one, the limit named user counts after authentication, and the unit of the login limit is refunded after the ' +
      'response. Once the login limit is exhausted, a request is refused before authentication, and nothing is taken.',
    style: STYLE,
    parts: [
      ...heads.map((head, index) => text('mid small', columns[index] + 56, 60, head)),
      ...rows.flatMap(([title, ...steps], row) => {
        const y = 74 + row * 66;
        const present = steps
          .map((step, index) => ({ step, index }))
          .filter(({ step }) => step !== undefined);
        return [
          text('bold', 16, y + 28, title),
          ...present
            .slice(1)
            .map(({ index }, place) =>
              arrow(columns[present[place].index] + 112, y + 24, columns[index], y + 24),
            ),
          ...present.map(({ step: [kind, ...lines], index }) =>
            box(kind, columns[index], y, 112, 48, ...lines.filter((line) => line !== '')),
          ),
        ];
      }),
      `<path class="line" d="M150 282H746"/><path class="tip" d="M0 0l-8-4v8z" transform="translate(746 282)"/>`,
      text('small', 16, 286, 'time'),
      text(
        'code',
        16,
        312,
        "address: '30/minute' · login: '5/minute', count: 'failure' · user: '100/minute', phase: 'afterAuth'",
      ),
    ],
  });
}

function levels() {
  const rows = [
    [
      'Module',
      "limits: [{ name: 'all', limits: '1000/hour' }, { limits: '60/minute' }]",
      [
        ['all', true],
        ['default 60/minute', false],
      ],
    ],
    ['Class', "@RateLimit('30/minute')", [['default 30/minute', false]]],
    ['Handler', "@RateLimit('5/minute')", [['default 5/minute', true]]],
    ['Rule', "{ id: 'api', path: '/api/**', limits: '300/minute' }", [['api 300/minute', true]]],
  ];
  return frame({
    width: WIDTH,
    height: 306,
    title: 'How limits combine',
    description:
      'A handler’s limit replaces the one of the same name on its class, which replaces the module’s. Limits of other names add up, and so do ' +
      'those of rules. The request counts on all, default with 5 per minute, and api.',
    style: STYLE,
    parts: [
      ...rows.flatMap(([place, code, limits], row) => {
        const y = 48 + row * 48;
        return [
          box(place === 'Rule' ? 'ours' : 'box', 16, y, 76, 36, place),
          text('code', 104, y + 22, code),
          ...limits.map(([name, holds], index) =>
            text(holds ? 'bold' : 'gone', 600, y + (limits.length === 1 ? 22 : 14 + index * 17), name),
          ),
        ];
      }),
      arrow(54, 84, 54, 96),
      arrow(54, 132, 54, 144),
      text('mid bold', 54, 190, '+'),
      box(
        'good',
        16,
        244,
        WIDTH - 32,
        44,
        'A request counts on: all 1000/hour · default 5/minute · api 300/minute',
        'the same name: the inner level replaces the outer one · another name, and every rule: in addition',
      ),
    ],
  });
}

function circuit() {
  return frame({
    width: WIDTH,
    height: 250,
    title: 'The circuit and the fallback',
    description:
      'While the circuit is closed, a decision calls the store and waits at most 50 ms. After five failures and a failed probe it opens: ' +
      'onError decides without a wait, and a probe runs twice a second. When one succeeds, the circuit closes.',
    style: STYLE,
    parts: [
      box('good', 16, 60, 200, 84, 'Closed', 'each decision calls the store,', 'and waits at most 50 ms'),
      box('box', 316, 60, 128, 84, 'Probe', 'a test write', 'in the store'),
      box('bad', 544, 60, 200, 84, 'Open', 'no call of the store, no wait:', 'onError decides each request'),
      arrow(216, 84, 316, 84),
      text('mid small', 266, 76, '5 failures'),
      arrow(444, 84, 544, 84),
      text('mid small', 494, 76, 'fails'),
      arrow(544, 120, 444, 120),
      text('mid small', 494, 138, 'twice a second'),
      arrow(316, 120, 216, 120),
      text('mid small', 266, 138, 'succeeds'),
      ...[
        ["'fallback'", 'each process counts its share of the limit: amount / instances'],
        ["'allow'", 'the request passes uncounted'],
        ["'deny'", '503, Retry-After: 1'],
      ].map(([mode, meaning], index) =>
        [
          text('code', 16, 184 + index * 22, `onError: ${mode}`),
          text('small', 168, 184 + index * 22, meaning),
        ].join(''),
      ),
    ],
  });
}

/** The diagrams, by name. */
export function drawDiagrams() {
  return { 'request-path': requestPath(), phases: phases(), levels: levels(), circuit: circuit() };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = process.argv[2] ?? fileURLToPath(new URL('../docs/images', import.meta.url));
  await mkdir(folder, { recursive: true });
  for (const [name, picture] of Object.entries(drawDiagrams()))
    await writeFile(join(folder, `${name}.svg`), picture);
}
