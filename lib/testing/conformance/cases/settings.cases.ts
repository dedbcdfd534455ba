import { deepEqual, equal } from 'node:assert/strict';
import type { SettingsStore } from '../../../core/settings-store.js';
import { CasesOf } from '../define-cases.js';
import type { Scenario } from '../scenario.js';

const topic = new CasesOf('settings');

/** Adds a case for storages that share settings. It passes on the others. */
function add(name: string, run: (settings: SettingsStore, scenario: Scenario) => Promise<void>): void {
  topic.add(name, [], async (scenario) => {
    const { settings } = scenario.storage;
    if (settings !== undefined) await run(settings, scenario);
  });
}

add('has none before the first write', async (settings) => {
  equal(await settings.read(), undefined);
});

add('writes the version that follows the stored one, and no other', async (settings) => {
  equal(await settings.write({ version: 2, text: 'too early' }), false);
  equal(await settings.write({ version: 1, text: 'first' }), true);
  equal(await settings.write({ version: 1, text: 'again' }), false);
  equal(await settings.write({ version: 3, text: 'too early' }), false);
  deepEqual(await settings.read(), { version: 1, text: 'first' });
  equal(await settings.write({ version: 2, text: 'second "é" \n {}' }), true);
  deepEqual(await settings.read(), { version: 2, text: 'second "é" \n {}' });
});

add('lets one of many concurrent writes win', async (settings) => {
  for (const version of [1, 2, 3]) {
    const texts = Array.from({ length: 8 }, (_, index) => `${version} by ${index}`);
    const won = await Promise.all(texts.map((text) => settings.write({ version, text })));
    equal(won.filter(Boolean).length, 1);
    deepEqual(await settings.read(), { version, text: texts[won.indexOf(true)] });
  }
});

add('keeps the settings when it is reset, and those of each key prefix apart', async (settings, scenario) => {
  const other = await scenario.context.open(`${scenario.storage.keyPrefix}:other`);
  equal(await settings.write({ version: 1, text: 'kept' }), true);
  await scenario.storage.reset();
  deepEqual(await settings.read(), { version: 1, text: 'kept' });
  equal(await other.settings?.read(), undefined);
});

/** Requirements on the settings that processes share. */
export const settingsCases = topic.cases;
