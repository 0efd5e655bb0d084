/**
 * SIGKILL before system calls of `netloom connect`, `disconnect`, `sandbox create` and `run`. Afterwards gc leaves
 * either all of what was asked for or nothing, and what is left can be removed.
 */
import { spawnSync } from 'node:child_process';
import test, { type ExecutionContext } from 'ava';
import { NETLOOM, Netloom } from '../support/command.ts';
import { becomeHost } from '../support/host.ts';
import { type Json, Lab } from '../support/lab.ts';
import { killing } from './killed.ts';

becomeHost();

/**
 * The calls that change what others see, and the step from one kill to the next. The netlink calls are many;
 * kill.test.ts kills at every one of them.
 */
const CALLS: readonly [name: string, step: number][] = [
  ['sendto', 5],
  ['flock', 1],
  ['renameat2', 1],
  ['linkat', 1],
  ['unlinkat', 2],
  ['mkdirat', 2],
  ['mount', 1],
  ['umount2', 1],
];

/** Runs a command that is killed on entry to the n-th call of that name. @returns false if there was no n-th call */
function isKilled(netloom: Netloom, args: readonly string[], name: string, n: number): boolean {
  const [strace = '', ...wrap] = killing(name, n);
  const { status, signal, stderr } = spawnSync(strace, [...wrap, NETLOOM, ...args], {
    env: netloom.environment,
    encoding: 'utf8',
  });
  if (signal === 'SIGKILL') return true;
  if (status !== 0) throw new Error(`netloom ${args.join(' ')} left with ${status ?? signal}: ${stderr}`);
  return false;
}

function start(t: ExecutionContext) {
  const lab = new Lab(t);
  const netloom = new Netloom(lab.root);
  netloom.run('network', 'create', '--subnet', '10.91.0.0/24', 'web');
  // The bridge stays when its last container goes.
  netloom.run('run', '--network', 'web', '--', 'true');
  return { lab, netloom, before: lab.snapshot() };
}

/** Kills a command at each of the calls. @param after runs after each kill, and removes everything */
function killEverywhere(
  netloom: Netloom,
  args: readonly string[],
  before: () => void,
  after: (what: string) => void,
): number {
  let kills = 0;
  for (const [name, step] of CALLS) {
    for (let n = 1; ; n += step) {
      before();
      const killed = isKilled(netloom, args, name, n);
      after(`${args[0]} killed before ${name}, the ${n}th`);
      if (!killed) break;
      kills++;
    }
  }
  return kills;
}

test.serial('connect', (t) => {
  const { lab, netloom, before } = start(t);
  const sandbox = lab.sandbox('c1');
  const target = `netns:${sandbox.path}`;
  const kills = killEverywhere(
    netloom,
    ['connect', 'web', target, '-p', '8080:80'],
    () => {},
    (what) => {
      netloom.run('gc');
      const isThere = netloom.json<{ attached: Json[] }[]>('network', 'ls')[0]?.attached.length === 1;
      if (isThere) {
        t.is(netloom.run('check', target), `eth0 of ${target} on web: as it was made\n`, what);
        netloom.run('disconnect', 'web', target);
      }
      t.deepEqual(
        sandbox.ip<{ ifname: string }>('link').map(({ ifname }) => ifname),
        ['lo'],
        what,
      );
      t.is(lab.snapshot(), before, what);
    },
  );
  t.true(kills > 10, `${kills} kills`);
});

test.serial('disconnect', (t) => {
  const { lab, netloom, before } = start(t);
  const sandbox = lab.sandbox('c1');
  const target = `netns:${sandbox.path}`;
  const connect = () => void netloom.run('connect', 'web', target, '-p', '8080:80');
  const kills = killEverywhere(netloom, ['disconnect', 'web', target], connect, (what) => {
    const { status, stderr } = netloom.try('disconnect', 'web', target);
    if (status !== 0) t.regex(stderr, /is not connected/, what);
    netloom.run('gc');
    t.is(lab.snapshot(), before, what);
  });
  t.true(kills > 5, `${kills} kills`);
});

test.serial('sandbox create', (t) => {
  const { lab, netloom, before } = start(t);
  const kills = killEverywhere(
    netloom,
    ['sandbox', 'create', '--name', 'box', '--network', 'web', '-p', '8080:80'],
    () => {},
    (what) => {
      netloom.run('gc');
      const { status, stderr } = netloom.try('sandbox', 'rm', 'box');
      if (status !== 0) t.regex(stderr, /There is no sandbox "box"/, what);
      t.is(lab.snapshot(), before, what);
    },
  );
  t.true(kills > 10, `${kills} kills`);
});

test.serial('run', (t) => {
  const { lab, netloom, before } = start(t);
  const kills = killEverywhere(
    netloom,
    ['run', '--name', 'box', '--network', 'web', '--', 'true'],
    () => {},
    (what) => {
      // The command that it started may outlive it by a moment.
      while (netloom.json<Json[]>('ps').length > 0);
      netloom.run('gc');
      t.deepEqual(netloom.json('sandbox', 'ls'), [], what);
      t.is(lab.snapshot(), before, what);
    },
  );
  t.true(kills > 10, `${kills} kills`);
});
