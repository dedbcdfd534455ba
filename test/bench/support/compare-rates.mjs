import { startChild } from './child.mjs';
import { formatNumber, printCaption, printTable } from './report.mjs';
import { interleave, median, medianRatio } from './statistics.mjs';

/**
 * Prints the decisions per second of every subject on a server, and their ratios to one peer.
 *
 * @param store names the file of the subjects
 * @param rounds number of measurements of each subject, for `duration` ms each
 * @returns the ratio of each subject to the peer
 */
export async function compareRates(
  store,
  subjects,
  peer,
  uri,
  { title, processes, identities, inFlight },
  rounds,
  duration,
) {
  const names = Object.keys(subjects);
  const start = (name) => Array.from({ length: processes }, () => startChild('rate', store, name, uri));
  const children = new Map(names.map((name) => [name, start(name)]));
  const ask = async (name) => {
    const rates = await Promise.all(
      children.get(name).map((child) => child.ask('rate', identities, inFlight, duration)),
    );
    const sum = (field) => rates.reduce((total, rate) => total + rate[field], 0);
    return { decided: sum('decided'), failed: sum('failed') };
  };
  try {
    for (const name of names) await ask(name);
    const measured = await interleave(names, rounds, ask);
    const decided = (name) => measured.get(name).map((round) => round.decided);
    const ratios = new Map(names.map((name) => [name, medianRatio(decided(name), decided(peer))]));
    printCaption(`${title}:`);
    printTable(
      ['', 'decisions/s', '× flexible', 'failed'],
      names.map((name) => [
        name,
        formatNumber(Math.round(median(decided(name)))),
        formatNumber(ratios.get(name)),
        measured.get(name).reduce((total, { failed }) => total + failed, 0),
      ]),
    );
    return ratios;
  } finally {
    await Promise.all([...children.values()].flat().map((child) => child.stop()));
  }
}
