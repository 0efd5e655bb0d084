/** Many processes change the masquerading rules at once. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { enterNewNetns, nft } from './netns.ts';

enterNewNetns();

test('fifty processes at once get what they ask for, and leave nothing', async (t) => {
  const worker = fileURLToPath(new URL('masquerade-worker.ts', import.meta.url));
  const children = Array.from({ length: 50 }, (_, i) =>
    spawn(process.execPath, ['--disable-warning=ExperimentalWarning', worker, String(i), '30']),
  );
  await Promise.all(children.map((child) => once(child.stdout, 'data')));
  const results = await Promise.all(
    children.map(async (child) => {
      let complaint = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        complaint += text;
      });
      child.stdin.end('x');
      const [code] = (await once(child, 'close')) as [number];
      return code === 0 ? '' : complaint;
    }),
  );
  t.deepEqual(results.filter(Boolean), []);
  t.is(nft('list', 'ruleset'), '');
});
