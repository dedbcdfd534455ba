export function median(numbers) {
  return quantile(numbers, 0.5);
}

/** The value that this part of the numbers lies below, from 0 to 1; between two of them, in proportion. */
export function quantile(numbers, part) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const position = (sorted.length - 1) * part;
  const below = sorted[Math.floor(position)];
  return below + (sorted[Math.ceil(position)] - below) * (position % 1);
}

/** The median of the ratios of two series that were measured in the same rounds: noise that lasts longer than a round cancels out. */
export function medianRatio(numerators, denominators) {
  return median(numerators.map((numerator, round) => numerator / denominators[round]));
}

/**
 * Asks every subject once per round, in an order that turns round each time, so that what drifts favours none. Stops at `most`
 * rounds, or, once there are `least`, when the time is up.
 *
 * @returns {Promise<Map>} the answers of each subject, by round
 */
export async function interleave(subjects, { least, most, milliseconds }, ask) {
  const answers = new Map(subjects.map((subject) => [subject, []]));
  const end = performance.now() + milliseconds;
  for (let round = 0; round < most && (round < least || performance.now() < end); round++) {
    const order = round % 2 === 0 ? subjects : subjects.toReversed();
    for (const subject of order) answers.get(subject).push(await ask(subject, round));
  }
  return answers;
}
