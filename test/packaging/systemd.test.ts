/**
 * The systemd units, run by a systemd that is the first process of its own namespaces, on a copy of this machine's
 * files.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { makeRoot } from '../support/host.ts';
import { Limit } from '../support/limit.ts';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Where the cgroup2 hierarchy is mounted: alone, or beside those of v1. */
const CGROUPS = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'].find((path) => existsSync(`${path}/cgroup.procs`)) ?? '';

/** For the whole test, in seconds. */
const PATIENCE = 240;

test('socket activation, calls with what the service may do, reload, restarts under load, a kill, and the end', async (t) => {
  const { path: out, remove } = makeRoot();
  const cgroup = join(CGROUPS, `netloom-test-${process.pid}`);
  mkdirSync(cgroup);
  t.teardown(async () => {
    await removeCgroup(cgroup);
    remove();
  });
  copyFileSync(here('systemd-probe.sh'), join(out, 'probe'));
  const world = [here('systemd-world.sh'), here('../../dist'), here('../../packaging/systemd'), out];
  const script = `echo $$ > ${cgroup}/cgroup.procs && exec timeout -s KILL ${PATIENCE} unshare --pid --mount --net --ipc --uts --cgroup --fork --kill-child bash "$@"`;
  const { stdout, stderr } = spawnSync('bash', ['-c', script, 'bash', ...world], { encoding: 'utf8' });
  const read = (name: string) => (existsSync(join(out, name)) ? readFileSync(join(out, name), 'utf8') : '');
  const seen = Object.fromEntries(
    read('log')
      .split('\n')
      .map((line) => line.split(': '))
      .map(([what = '', ...rest]) => [what, rest.join(': ').trim()]),
  );
  const capabilities = /^CapabilityBoundingSet=(.*)$/m.exec(
    readFileSync(here('../../packaging/systemd/netloom-agent.service'), 'utf8'),
  )?.[1];
  t.deepEqual(
    seen,
    {
      before: 'active inactive',
      ADD: '0 active, by the agent: 1',
      ping: '0',
      socket: '600 in 700',
      process: `CapEff:${maskOf(capabilities ?? '')} NoNewPrivs:1 Seccomp:2`,
      tap: '0 0, by the agent: 1',
      reload: '0 the same process',
      restarts: 'several, calls: 40 0',
      killed: '0 0',
      after: 'active another process',
      stopped: 'inactive 1',
      DEL: '0 active',
      links: '0',
      end: 'inactive 0',
      without: '0 0',
      '': '',
    },
    `${read('errors')}\n${stdout}\n${stderr}`,
  );
});

/** A set of capabilities as /proc prints it. */
function maskOf(names: string): string {
  const header = execFileSync('grep', ['-h', '^#define CAP_', '/usr/include/linux/capability.h'], { encoding: 'utf8' });
  const numbers = new Map(
    [...header.matchAll(/^#define (CAP_\w+)\s+(\d+)$/gm)].map(([, name, n]) => [name, Number(n)]),
  );
  const mask = names.split(' ').reduce((sum, name) => sum | (1n << BigInt(numbers.get(name) ?? 0)), 0n);
  return mask.toString(16).padStart(16, '0');
}

/** Removes a cgroup, the deepest first. The kernel keeps one for a moment after its last process. */
async function removeCgroup(path: string): Promise<void> {
  const limit = new Limit(60);
  for (;;) {
    try {
      const all = execFileSync('find', [path, '-depth', '-type', 'd'], { encoding: 'utf8' })
        .split('\n')
        .filter(Boolean);
      for (const each of all) rmdirSync(each);
      return;
    } catch (error) {
      if (limit.isOver()) throw error;
      await delay(50);
    }
  }
}
