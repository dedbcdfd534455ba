import { metrics } from '@opentelemetry/api';
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

/** A line of a scrape. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The global meter provider of OpenTelemetry, exported as a server of Prometheus would scrape it. */
export class Prometheus {
  private constructor(
    private readonly url: string,
    readonly provider: MeterProvider,
    private readonly end: () => Promise<void>,
  ) {}

  static async start(): Promise<Prometheus> {
    const exporter = new PrometheusExporter({ preventServerStart: true });
    const provider = new MeterProvider({ readers: [exporter] });
    metrics.disable();
    metrics.setGlobalMeterProvider(provider);
    const server = createServer((request, response) => exporter.getMetricsRequestHandler(request, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Prometheus(
      `http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`,
      provider,
      async () => {
        server.close();
        server.closeAllConnections();
        metrics.disable();
        await provider.shutdown();
      },
    );
  }

  /** Returns the text of a scrape. */
  async text(): Promise<string> {
    return (await fetch(this.url)).text();
  }

  /** Returns the samples of this library. */
  async scrape(): Promise<Sample[]> {
    return parse(await this.text()).filter(({ name }) => name.startsWith('nestjs_limits_'));
  }

  /** Returns the sum of a metric over all samples with some labels; `undefined` if there is none. */
  async sum(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number | undefined> {
    const found = (await this.scrape()).filter(
      (sample) =>
        sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
    );
    return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0);
  }

  close(): Promise<void> {
    return this.end();
  }
}

/** Reads the text format of Prometheus. */
function parse(text: string): Sample[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, name, labels = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)/.exec(line) ?? [];
      if (name === undefined || value === undefined) throw new Error(`no sample: ${line}`);
      const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key = '', text = '']) => [
        key,
        text.replace(/\\(.)/g, '$1'),
      ]);
      return { name, labels: Object.fromEntries(pairs) as Record<string, string>, value: Number(value) };
    });
}
