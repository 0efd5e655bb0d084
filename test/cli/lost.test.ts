/** Sandboxes whose record is damaged or missing: every command reports it, and what is left of them can be removed. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { NETLOOM, Netloom } from '../support/command.ts';
import { becomeHost } from '../support/host.ts';
import { type Json, Lab } from '../support/lab.ts';
import { until } from '../support/until.ts';

becomeHost();

function start(t: ExecutionContext) {
  const lab = new Lab(t);
  const netloom = new Netloom(lab.root);
  const before = lab.snapshot();
  netloom.run('network', 'create', '--subnet', '10.93.0.0/24', 'web');
  const record = join(lab.root, 'var/lib/netloom/sandboxes/box.json');
  const pin = join(lab.root, 'run/netloom/netns/box');
  const states = () => netloom.json<Json[]>('sandbox', 'ls').map(({ name, state }) => `${name} ${state}`);
  /** Expects that nothing is left, and that no command complains. */
  const isClean = () => {
    t.deepEqual(states(), []);
    t.is(netloom.run('restore'), '');
    t.deepEqual(netloom.json('doctor'), []);
    t.deepEqual(readdirSync(join(lab.root, 'var/lib/netloom/sandboxes')), []);
    t.deepEqual(readdirSync(join(lab.root, 'run/netloom/netns')), []);
    netloom.run('network', 'rm', 'web');
    t.is(lab.snapshot(), before);
  };
  return { lab, netloom, record, pin, states, isClean };
}

test.serial('a sandbox with a damaged record is told of by every command, and rm removes it', (t) => {
  const { netloom, record, states, isClean } = start(t);
  netloom.run('sandbox', 'create', '--name', 'box', '--network', 'web');
  writeFileSync(record, '{"format":1');
  const { stderr, stdout: listed } = netloom.try('sandbox', 'ls');
  t.regex(listed, /^box +lost +0 +web 10\.93\.0\.2\/24/m);
  t.regex(stderr, /Cannot read ".*box\.json": .*; it was set aside as ".*box\.json\.damaged"/);
  t.deepEqual(states(), ['box lost']);
  const why = /its record is damaged, and was set aside as ".*\.damaged"/;
  const mend = /"netloom sandbox rm box" removes what is left of it/;
  for (const command of ['exec box true', 'connect web box', 'connect web sandbox:box', 'sandbox create --name box']) {
    const failed = netloom.try(...command.split(' '));
    t.not(failed.status, 0);
    t.regex(failed.stderr, why, command);
    t.regex(failed.stderr, mend, command);
  }
  const restored = netloom.try('restore');
  t.is(restored.status, 1);
  t.regex(restored.stdout, /^sandbox box: failed, its record is damaged/m);
  const { stdout, status } = netloom.try('doctor', '--json');
  t.is(status, 1);
  t.like(JSON.parse(stdout), { length: 1, 0: { check: 'lost-sandbox', fixed: false } });
  t.is(netloom.run('sandbox', 'rm', 'box'), 'removed box\n');
  isClean();
});

test.serial('gc and doctor --fix remove a sandbox without a record, where nothing runs in it', (t) => {
  const { netloom, record, pin, isClean } = start(t);
  netloom.run('sandbox', 'create', '--name', 'box', '--network', 'web');
  rmSync(record);
  const told = netloom.run('gc');
  t.is(told, `sandbox box: removed, it has a namespace at "${pin}", and no record\n`);
  netloom.run('sandbox', 'create', '--name', 'box', '--network', 'none');
  rmSync(record);
  t.like(netloom.json('doctor', '--fix'), { length: 1, 0: { check: 'lost-sandbox', fixed: true } });
  isClean();
});

test.serial('a damaged record is kept by gc, for whoever can read it, until the sandbox is removed', (t) => {
  const { netloom, record, isClean } = start(t);
  netloom.run('sandbox', 'create', '--name', 'box', '--network', 'web');
  const text = readFileSync(record, 'utf8').replace('"format": 1', '"format": 2');
  writeFileSync(record, text);
  t.regex(netloom.run('gc'), /^sandbox box: removed, its record is damaged/);
  t.is(readFileSync(`${record}.damaged`, 'utf8'), text);
  t.is(netloom.run('gc'), '');
  t.regex(netloom.try('restore').stdout, /^sandbox box: failed, its record is damaged/);
  t.is(netloom.run('sandbox', 'rm', 'box'), 'removed box\n');
  t.regex(netloom.try('sandbox', 'rm', 'box').stderr, /There is no sandbox "box"/);
  isClean();
});

test.serial('what runs in a sandbox without a record keeps it, until it is removed by force', async (t) => {
  const { netloom, record, states, isClean } = start(t);
  netloom.run('run', '-d', '--name', 'box', '--network', 'web', '--', 'sleep', '600');
  t.teardown(() => netloom.try('sandbox', 'rm', '--force', 'box'));
  rmSync(record);
  t.regex(
    netloom.run('gc'),
    /^sandbox box: passed over, .*; processes run in it, and "netloom sandbox rm --force box"/,
  );
  t.deepEqual(states(), ['box lost']);
  const { status, stderr } = netloom.try('sandbox', 'rm', 'box');
  t.is(status, 1);
  t.regex(stderr, /Cannot remove the sandbox "box": a process runs in it\n {2}\d+ sleep 600/);
  t.like(netloom.json('ps'), { length: 1, 0: { sandbox: 'box' } });
  netloom.run('sandbox', 'rm', '--force', 'box');
  t.deepEqual(netloom.json('ps'), []);
  isClean();
});

test.serial('run takes its sandbox away though its record has gone meanwhile', async (t) => {
  const { netloom, record, isClean } = start(t);
  const script = `rm '${record}'`;
  netloom.run('run', '--name', 'box', '--network', 'web', '--', 'sh', '-c', script);
  isClean();
});

test.serial('by force nothing is killed where the namespace may be that of another container', async (t) => {
  const { netloom, record, isClean } = start(t);
  const child = spawn('unshare', ['--net', 'sh', '-c', 'echo ready; exec sleep 600'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  netloom.run('sandbox', 'create', '--name', 'box', '--network', `container:pid:${child.pid}`);
  rmSync(record);
  t.is(netloom.try('sandbox', 'rm', 'box').status, 1);
  const { status, stderr } = netloom.try('sandbox', 'rm', '--force', 'box');
  t.is(status, 0);
  t.regex(stderr, new RegExp(`not killed: ${child.pid} sleep 600; `));
  t.true(existsSync(`/proc/${child.pid}/ns/net`));
  t.is(child.exitCode ?? child.signalCode, null);
  isClean();
});

test.serial('the end of a run takes no other sandbox of its name away', async (t) => {
  const { netloom, pin, states, isClean } = start(t);
  const args = ['run', '--name', 'box', '--', 'sleep', '600'];
  const first = spawn(NETLOOM, args, { env: netloom.environment, stdio: 'ignore' });
  t.teardown(() => first.kill('SIGKILL'));
  const ended = once(first, 'exit');
  const running = () => netloom.json<Json[]>('ps').some(({ command }) => command === 'sleep 600');
  await until('it runs', running);
  first.kill('SIGSTOP');
  netloom.run('sandbox', 'rm', '--force', 'box');
  netloom.run('sandbox', 'create', '--name', 'box');
  first.kill('SIGCONT');
  await ended;
  t.deepEqual(states(), ['box present']);
  t.true(existsSync(pin));
  netloom.run('sandbox', 'rm', 'box');
  isClean();
});

test.serial('a name that is a path is no sandbox, and no file elsewhere is set aside', (t) => {
  const { lab, netloom } = start(t);
  const file = join(lab.root, 'var/lib/netloom/mine.json');
  netloom.run('sandbox', 'create', '--name', 'box');
  writeFileSync(file, '{}');
  for (const command of ['exec ../mine true', 'sandbox rm ../mine', 'connect web sandbox:../mine']) {
    t.regex(netloom.try(...command.split(' ')).stderr, /There is no sandbox "\.\.\/mine"/, command);
  }
  t.true(existsSync(file));
  rmSync(file);
  netloom.run('sandbox', 'rm', 'box');
});
