/** The Vagrantfile, judged by Vagrant. It starts no machine, so it needs no provider. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const TREE = fileURLToPath(new URL('..', import.meta.url));

test('vagrant validates the Vagrantfile, and knows two nodes of it', (t) => {
  const home = mkdtempSync(join(tmpdir(), 'netloom-test-'));
  t.teardown(() => rmSync(home, { recursive: true, force: true }));
  const said = execFileSync('vagrant', ['validate', '--ignore-provider'], {
    cwd: TREE,
    encoding: 'utf8',
    env: { ...process.env, VAGRANT_HOME: join(home, 'home'), VAGRANT_DOTFILE_PATH: join(home, 'machines') },
  });
  t.regex(said, /node1: /);
  t.regex(said, /node2: /);
  t.regex(said, /validated successfully/);
});
