/** Many commands at once: each sees what the others have done, or waits. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import test from 'ava';
import { NETLOOM, Netloom } from '../support/command.ts';
import { becomeHost } from '../support/host.ts';
import { Lab } from '../support/lab.ts';

becomeHost();

/** Runs a command without waiting. @returns its status and what it printed */
async function start(netloom: Netloom, ...args: string[]): Promise<[status: number | null, output: string]> {
  const child = spawn(NETLOOM, args, { env: netloom.environment, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
  const [status] = (await once(child, 'close')) as [number | null];
  return [status, output];
}

const MANY = Array.from({ length: 12 }, (_, i) => i);

test.serial('networks that are made at once have subnets of their own', async (t) => {
  const netloom = new Netloom(new Lab(t).root);
  const ends = await Promise.all(MANY.map((i) => start(netloom, 'network', 'create', `net${i}`)));
  for (const [status, output] of ends) t.is(status, 0, output);
  const networks = netloom.json<{ subnets: string[] }[]>('network', 'ls');
  t.is(new Set(networks.flatMap(({ subnets }) => subnets)).size, MANY.length);
});

test.serial('of networks that are made at once under one name, one is', async (t) => {
  const netloom = new Netloom(new Lab(t).root);
  const ends = await Promise.all(MANY.map(() => start(netloom, 'network', 'create', 'web')));
  t.is(ends.filter(([status]) => status === 0).length, 1);
  for (const [status, output] of ends) if (status !== 0) t.regex(output, /There is a network "web" already/);
});

test.serial('commands that run at once have addresses of their own, and leave nothing', async (t) => {
  const lab = new Lab(t);
  const netloom = new Netloom(lab.root);
  const before = lab.snapshot();
  netloom.run('network', 'create', 'web');
  // Each writes a file, and stays until all the others have written theirs.
  const here = `${lab.root}/here`;
  mkdirSync(here);
  const script = `ip -o -4 addr show eth0 | awk '{ print $4 }'; touch ${here}/$$; until [ $(ls ${here} | wc -l) -ge ${MANY.length} ]; do sleep 0.05; done`;
  const args = ['run', '--network', 'web', '--', 'timeout', '100', 'sh', '-c', script];
  const ends = await Promise.all(MANY.map(() => start(netloom, ...args)));
  for (const [status, output] of ends) t.is(status, 0, output);
  t.is(new Set(ends.map(([, output]) => output.trim())).size, MANY.length);
  rmSync(here, { recursive: true });
  netloom.run('network', 'rm', 'web');
  t.is(lab.snapshot(), before);
});
