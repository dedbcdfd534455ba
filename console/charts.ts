import uPlot from 'uplot';
import { create, setText } from './dom.js';
import { formatCount, formatMinute, formatTime } from './format.js';
import { SECONDS, type Series } from './series.js';

const SHOWN = ['requests', 'refused', 'shadow'] as const;
const LABELS = { requests: 'requests', refused: 'refused', shadow: 'shadow would refuse' };

/** Steps of the axis of counts. */
const INCREMENTS = [1, 2, 5, 10, 20, 50]
  .flatMap((step) => [1, 100, 10_000].map((factor) => step * factor))
  .sort((a, b) => a - b);

/** A chart of requests and refusals per second. Its legend tells the second under the pointer, else the last one. */
export class Chart {
  readonly #labels = {
    requests: create('span', 'requests'),
    refused: create('span', 'refused'),
    shadow: create('span', 'shadow'),
  };
  readonly #time = create('time');
  #plot: uPlot | undefined;
  #data: uPlot.AlignedData = [[], [], [], []];

  constructor(
    private readonly place: HTMLElement,
    legend: HTMLElement,
    private readonly name: string,
  ) {
    legend.append(this.#time, ...Object.values(this.#labels));
    place.setAttribute('role', 'img');
    new ResizeObserver(() => this.#resize()).observe(place);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.#plot?.destroy();
      this.#plot = undefined;
      this.#draw();
    });
  }

  show(series: Series, second: number): void {
    const seconds = Array.from({ length: SECONDS }, (_, index) => second - SECONDS + 1 + index);
    this.#data = [seconds, series.requests, series.refused, series.shadow];
    this.#draw();
    const { requests, refused } = series.sums;
    this.place.setAttribute(
      'aria-label',
      `${this.name} of the last ten minutes, per second: ${formatCount(requests)} requests, ${formatCount(refused)} refused`,
    );
  }

  #draw(): void {
    if (this.place.clientWidth === 0) return;
    this.#plot ??= this.#create();
    this.#plot.setData(this.#data);
    this.#tell();
  }

  #create(): uPlot {
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim();
    const axis: uPlot.Axis = {
      stroke: colour('muted'),
      grid: { stroke: colour('line'), width: 1 },
      ticks: { show: false },
      font: '12px system-ui, sans-serif',
    };
    const plot = new uPlot(
      {
        width: this.place.clientWidth,
        height: this.place.clientHeight,
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
        scales: { y: { range: (_plot, _min, max) => [0, Math.max(max ?? 0, 5) * 1.1] } },
        axes: [
          {
            ...axis,
            grid: { show: false },
            size: 26,
            space: 90,
            values: (_plot, seconds) => seconds.map((one) => formatMinute(one * 1000)),
          },
          { ...axis, size: 46, space: 28, incrs: INCREMENTS },
        ],
        series: [
          {},
          ...SHOWN.map((name) => ({
            label: LABELS[name],
            stroke: colour(name),
            width: 1.5,
            points: { show: false },
            ...(name === 'requests' ? { fill: `${colour(name)}1f` } : {}),
            ...(name === 'shadow' ? { dash: [4, 3] } : {}),
          })),
        ],
        hooks: { setCursor: [() => this.#tell()] },
      },
      this.#data,
      this.place,
    );
    return plot;
  }

  #resize(): void {
    const { clientWidth: width, clientHeight: height } = this.place;
    if (width > 0) this.#plot?.setSize({ width, height });
  }

  #tell(): void {
    const index = this.#plot?.cursor.idx ?? SECONDS - 1;
    const [seconds] = this.#data;
    setText(this.#time, formatTime((seconds[index] ?? 0) * 1000));
    for (const [place, name] of SHOWN.entries())
      setText(this.#labels[name], `${formatCount(this.#data[place + 1]?.[index] ?? 0)} ${LABELS[name]}`);
  }
}

/** Points of a spark line; each stands for ten seconds. */
const POINTS = 60;
const [WIDTH, HEIGHT] = [120, 24];

/** A small line of requests and refusals, for a row of a table. The numbers next to it tell the same. */
export class Spark {
  readonly element = svg('svg', {
    class: 'spark',
    viewBox: `0 -1 ${WIDTH} ${HEIGHT + 2}`,
    preserveAspectRatio: 'none',
    'aria-hidden': 'true',
  });
  readonly #lines = ['requests', 'refused'].map((name) => svg('polyline', { class: name }));

  constructor() {
    this.element.append(...this.#lines);
  }

  show({ requests, refused }: Series): void {
    const groups = [grouped(requests), grouped(refused)];
    const most = Math.max(1, ...groups.flat());
    for (const [index, line] of this.#lines.entries()) {
      const points = groups[index]?.map((count, place) => {
        const [x, y] = [(place * WIDTH) / (POINTS - 1), HEIGHT * (1 - count / most)];
        return `${x.toFixed(1)},${y.toFixed(1)}`;
      });
      line.setAttribute('points', points?.join(' ') ?? '');
    }
  }
}

function grouped(counts: readonly number[]): number[] {
  const sums = new Array<number>(POINTS).fill(0);
  const each = SECONDS / POINTS;
  for (const [index, count] of counts.entries()) {
    const place = Math.floor(index / each);
    sums[place] = (sums[place] ?? 0) + count;
  }
  return sums;
}

function svg(tag: string, attributes: Readonly<Record<string, string>>): SVGElement {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
