/** What `netloom connect` promises for containers of every engine that were started without a network. */
import type { TestFn } from 'ava';
import { NETLOOM } from '../support/command.ts';
import type { Machine } from './machine.ts';
import { holds, listens } from './prints.ts';
import type { Container } from './runtime.ts';

export interface Unwired {
  readonly machine: Machine;
  /** `docker` in `docker:ID` */
  readonly engine: string;
  start(...command: string[]): Promise<Container>;
}

const HELLO = 'hello from the other container';

export function connectContract(test: TestFn, setting: () => Unwired): void {
  const netloom = (...args: string[]) => setting().machine.run(NETLOOM, ...args);
  const page = (host: string) => setting().machine.run('busybox', 'wget', '-q', '-O', '-', `http://${host}/`);

  test.serial(
    'a running container is connected, gets its published port, is disconnected, and is removed without leaving anything',
    async (t) => {
      const { machine, engine, start } = setting();
      netloom('network', 'create', '--subnet', '10.91.0.0/24', 'web');
      netloom('network', 'create', '--subnet', '10.92.0.0/24', '--ipv6', 'db');
      const before = machine.state();
      const container = await start('/bin/httpd', '-f', '-p', '80', '-h', '/www');
      const target = `${engine}:${container.id}`;
      await listens(container, 80);
      t.notRegex(await container.exec('/bin/ip', 'addr'), /eth0/);

      t.regex(netloom('connect', 'web', target, '-p', '8080:80'), /eth0 10\.91\.0\.2\/24 on web/);
      t.is(page('10.91.0.2'), HELLO);
      t.is(page('10.91.0.1:8080'), HELLO);
      t.regex(
        netloom('inspect', '--paths', target),
        /^\S+ +eth0 10\.91\.0\.2\/24 ⇄ veth\w+ ─ br-web 10\.91\.0\.1\/24/m,
        'it is seen by its name at the engine',
      );

      // Found by its id alone, and with a second interface beside the first.
      netloom('connect', 'db', container.id, '--ifname', 'db0', '--ip', '10.92.0.77', '--mac', '02:00:00:00:00:77');
      const wired = await holds(container, ['/bin/ip', 'addr'], (output) => output !== '');
      t.regex(wired, /eth0@.*\bUP\b/);
      t.regex(wired, /db0@[\s\S]*02:00:00:00:00:77[\s\S]*10\.92\.0\.77\/24[\s\S]*inet6 fd/);
      t.is(page('10.92.0.77'), HELLO);
      const [, web] = JSON.parse(netloom('network', 'inspect', 'db', 'web')) as { attached: unknown[] }[];
      t.is(web?.attached.length, 1);

      t.regex(netloom('disconnect', 'web', target), /eth0 is off web/);
      t.notRegex(await container.exec('/bin/ip', 'addr'), /eth0/);
      t.is(page('10.92.0.77'), HELLO);
      netloom('disconnect', 'db', container.id);
      // It can be connected again after a disconnect.
      netloom('connect', 'web', target);
      netloom('disconnect', 'web', target);
      await container.remove();
      const left = ({ links }: { links: readonly string[] }) => links.filter((name) => !name.startsWith('br-'));
      t.deepEqual(left(machine.state()), left(before));
      netloom('network', 'rm', 'web', 'db');
      t.deepEqual({ ...machine.state(), files: [] }, { ...before, files: [] });
      t.deepEqual(
        machine.state().files.filter((file) => !file.includes('/leases/')),
        before.files.filter((file) => !file.includes('/leases/')),
      );
    },
  );

  test.serial('a container that was removed while it was connected leaves nothing after a disconnect', async (t) => {
    const { machine, engine, start } = setting();
    const before = machine.state();
    netloom('network', 'create', 'web');
    const container = await start('/bin/sleep', '1000');
    netloom('connect', 'web', `${engine}:${container.id}`);
    await container.remove();
    netloom('disconnect', 'web', `${engine}:${container.id}`);
    netloom('network', 'rm', 'web');
    t.deepEqual(machine.state(), before);
  });
}
