/** Builds the package and one of the samples, and runs the sample: `npm run sample 02-redis`. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const [name = ''] = process.argv.slice(2);
if (name === '' || !existsSync(`${root}/sample/${name}/tsconfig.json`)) {
  process.stderr.write(`There is no sample "${name}". See the folder sample/.\n`);
  process.exit(1);
}

for (const args of [
  ['scripts/build.mjs'],
  ['node_modules/typescript/bin/tsc', '-p', `sample/${name}/tsconfig.json`],
]) {
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
const application = spawn(process.execPath, [`sample/${name}/dist/main.js`], { cwd: root, stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => application.kill(signal));
application.on('exit', (code) => process.exit(code ?? 1));
