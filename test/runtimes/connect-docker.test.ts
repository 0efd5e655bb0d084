/** `netloom connect` with containers of a real dockerd, started with --network none. */
import test from 'ava';
import { NETLOOM } from '../support/command.ts';
import { connectContract } from './connect.ts';
import { type Docker, docker } from './docker.ts';
import { Machine } from './machine.ts';
import { listens } from './prints.ts';

let machine: Machine;
let runtime: Docker;

test.before(async () => {
  machine = await Machine.start();
  runtime = await docker(machine);
});

test.after.always(async () => {
  await machine?.end();
});

connectContract(test, () => ({ machine, engine: 'docker', start: (...command) => runtime.start(...command) }));

test.serial('a container that was started again gets its wires back, with address and port', async (t) => {
  const netloom = (...args: string[]) => machine.run(NETLOOM, ...args);
  const before = machine.state();
  netloom('network', 'create', 'web');
  const container = await runtime.start('/bin/httpd', '-f', '-p', '80', '-h', '/www');
  netloom('connect', 'web', `docker:${container.id}`, '-p', '8080:80');
  t.regex(
    netloom('explain', `docker:${container.id}`),
    /nft 'insert rule ip filter FORWARD .*jump NETLOOM-FORWARD/,
    'past the policy that docker sets',
  );
  const address = async () => /inet (10\.90\.\S+)/.exec(await container.exec('/bin/ip', 'addr'))?.[1];
  const given = await address();
  machine.run('docker', 'restart', '-t', '0', container.id);
  await listens(container, 80);
  t.is(await address(), undefined);
  t.regex(netloom('restore'), /^eth0 of docker:\S+ on web: restored\n$/);
  t.is(await address(), given);
  t.is(machine.run('busybox', 'wget', '-q', '-O', '-', 'http://127.0.0.1:8080/'), 'hello from the other container');
  machine.run('docker', 'stop', '-t', '0', container.id);
  t.regex(netloom('restore'), /: waits, Cannot connect docker:\S+: it is not running/);
  await container.remove();
  t.regex(netloom('gc'), /: removed, its target has ended/);
  netloom('network', 'rm', 'web');
  t.deepEqual(machine.state(), before);
});

test.serial('what cannot be connected is told apart', async (t) => {
  machine.run(NETLOOM, 'network', 'create', 'web');
  const refusal = (...args: string[]) => t.throws(() => machine.run(NETLOOM, 'connect', 'web', ...args))?.message ?? '';
  t.regex(refusal('docker:nobody'), /docker has no container "nobody"/);
  const first = await runtime.start('/bin/sleep', '1000');
  const second = machine
    .run('docker', 'run', '-d', `--network=container:${first.id}`, 'test', '/bin/sleep', '1000')
    .trim();
  t.regex(refusal(`docker:${second}`), /it shares its network namespace with ".*"/);
  t.regex(refusal(`docker:${first.id}`), /with --shared both get the network/);
  t.notThrows(() => machine.run(NETLOOM, 'connect', '--shared', 'web', `docker:${first.id}`));
  t.notThrows(() => machine.run(NETLOOM, 'disconnect', 'web', `docker:${first.id.slice(0, 12)}`));
  const host = machine.run('docker', 'run', '-d', '--network=host', 'test', '/bin/sleep', '1000').trim();
  t.regex(refusal(`docker:${host}`), /its network is that of the host/);
  machine.run('docker', 'stop', '-t', '0', first.id);
  t.regex(refusal(`docker:${first.id}`), /it is not running/);
  machine.run('docker', 'rm', '-f', first.id, second, host);
  machine.run(NETLOOM, 'network', 'rm', 'web');
});

test.serial('wires that docker has made itself are seen, too', (t) => {
  const name = 'on-docker0';
  machine.run('docker', 'run', '-d', '--name', name, 'test', '/bin/sleep', '1000');
  const paths = machine.run(NETLOOM, 'inspect', '--paths', `docker:${name}`);
  t.regex(paths, /^on-docker0 +eth0 172\.17\.\d+\.\d+\/16 ⇄ veth\w+ ─ docker0 172\.17\.0\.1\/16/);
  machine.run('docker', 'rm', '-f', name);
});
