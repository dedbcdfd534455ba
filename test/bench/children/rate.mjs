/** A process with one subject on a server. Measures the hits that it decides per second. */
import { answerQuestions } from '../support/child.mjs';
import { makeKeys } from '../support/keys.mjs';

const [store, name, uri] = process.argv.slice(2);
const { subjects } = await import(`../${store}-subjects.mjs`);
const decide = await subjects[name](uri);

answerQuestions({
  /**
   * Decisions per second of these identities in turn, so many of them under way at a time, and how
   * many failed.
   */
  async rate(identities, inFlight, milliseconds) {
    const keys = makeKeys(identities);
    const begin = performance.now();
    const end = begin + milliseconds;
    let [next, decided, failed] = [0, 0, 0];
    const decideInTurn = async () => {
      while (performance.now() < end) {
        await decide(keys[next++ % identities]).then(
          () => decided++,
          () => failed++,
        );
      }
    };
    await Promise.all(Array.from({ length: inFlight }, decideInTurn));
    return { decided: (decided * 1000) / (performance.now() - begin), failed };
  },
});
