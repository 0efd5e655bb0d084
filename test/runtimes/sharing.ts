/** What the types that make no interface give a container: none and container. */
import type { TestFn } from 'ava';
import type { Setting } from './contract.ts';
import { OURS } from './machine.ts';
import { holds } from './prints.ts';

/** A server that only containers in its network reach, because it listens on the loopback interface. */
const SERVER = ['/bin/httpd', '-f', '-p', '127.0.0.1:8080', '-h', '/www'];
const PAGE = 'hello from the other container';

export function sharing(test: TestFn, setting: () => Setting): void {
  if (!OURS) return; // the reference plugins have neither
  test.serial('none: a container has its loopback, up, and nothing else', async (t) => {
    const { machine, runtime } = setting();
    const before = machine.state();
    const container = await runtime.on('92-none.conflist').start('/bin/sleep', '1000');
    try {
      await holds(container, ['/bin/ip', '-o', 'link'], (output) => /^1: lo: <[^>]*\bUP\b/.test(output));
      await holds(container, ['/bin/ping', '-c', '1', '127.0.0.1'], (output) => output.includes(' 0% packet loss'));
      t.notRegex(await container.exec('/bin/ip', '-o', 'link'), /^2:/m);
    } finally {
      await container.remove();
    }
    t.deepEqual(machine.state(), before);
  });

  test.serial(
    'container: a sidecar keeps the network while the main container is replaced, and both are on one localhost',
    async (t) => {
      const { machine, runtime } = setting();
      const before = machine.state();
      const sidecar = await runtime.start(...SERVER);
      try {
        const addresses = await holds(sidecar, ['/bin/ip', '-o', 'addr'], (output) => output.includes('eth0'));
        for (let i = 0; i < 2; i++) {
          const main = await runtime.beside(sidecar).start('/bin/sleep', '1000');
          try {
            await holds(main, ['/bin/ip', '-o', 'addr'], (output) => output === addresses);
            await holds(main, ['/bin/wget', '-q', '-O', '-', 'http://127.0.0.1:8080/'], (output) => output === PAGE);
          } finally {
            await main.remove();
          }
          await holds(sidecar, ['/bin/ip', '-o', 'addr'], (output) => output === addresses);
          await holds(sidecar, ['/bin/wget', '-q', '-O', '-', 'http://127.0.0.1:8080/'], (output) => output === PAGE);
        }
      } finally {
        await sidecar.remove();
      }
      t.deepEqual(machine.state(), before);
    },
  );
}
