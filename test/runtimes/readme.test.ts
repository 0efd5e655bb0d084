/** Runs the session of README's "Wire a container later" exactly as it is printed there. */
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { NETLOOM } from '../support/command.ts';
import { docker } from './docker.ts';
import { Machine } from './machine.ts';

const readme = readFileSync(fileURLToPath(new URL('../../README.md', import.meta.url)), 'utf8');

test('each command of the session prints what README says', async (t) => {
  const [, session = ''] = /<!-- session -->\n```console\n([\s\S]*?)```/.exec(readme) ?? [];
  const steps = session.split(/^# /m).slice(1);
  t.true(steps.length > 5);
  const machine = await Machine.start();
  try {
    await docker(machine);
    machine.run('docker', 'tag', 'test', 'busybox');
    const bin = join(machine.root, 'bin');
    mkdirSync(bin);
    symlinkSync(NETLOOM, join(bin, 'netloom'));
    symlinkSync(join(machine.rootfs, 'bin/busybox'), join(bin, 'wget'));
    for (const step of steps) {
      const end = step.indexOf('\n');
      const [command, expected] = [step.slice(0, end), step.slice(end + 1)];
      const printed = machine.run('sh', '-c', `PATH='${bin}':$PATH; ${command}`);
      t.is(printed.trimEnd(), expected.trimEnd(), command);
    }
  } finally {
    await machine.end();
  }
});
