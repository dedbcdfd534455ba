const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat('en', { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const percent = new Intl.NumberFormat('en', {
  style: 'percent',
  minimumFractionDigits: 1,
  maximumFractionDigits: 1,
});

export function formatCount(count: number): string {
  return whole.format(count);
}

/** Formats a rate: with one decimal below 10. */
export function formatRate(rate: number): string {
  return rate > 0 && rate < 9.95 ? tenths.format(rate) : whole.format(rate);
}

/** Formats a share of a whole; a dash if there is no whole. */
export function formatShare(part: number, all: number): string {
  return all === 0 ? '–' : percent.format(part / all);
}

export function formatTime(time: number): string {
  return new Date(time).toLocaleTimeString();
}

export function formatMinute(time: number): string {
  return new Date(time).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
}

export function formatDateTime(time: number): string {
  return new Date(time).toLocaleString();
}

/** Formats a latency in ms. */
export function formatLatency(ms: number): string {
  if (ms === 0) return '–';
  return ms < 1 ? `${whole.format(ms * 1000)} µs` : `${formatRate(ms)} ms`;
}

/** Formats a time to wait, in the largest unit of which there is one. */
export function formatWait(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 5400) return `${whole.format(seconds / 60)} min`;
  return seconds < 129_600 ? `${whole.format(seconds / 3600)} h` : `${whole.format(seconds / 86_400)} days`;
}
